-- tries: methods called on something else
-- expect: works
-- at: policy
local z, price = T.zeros(2), slate.price
for _, fake in ipairs { 1, "x", {}, print, price, z, ctx } do
  assert(not pcall(slate.boost, fake, 1, 2))
  if fake ~= z then assert(not pcall(z.sum, fake)) end
  if fake ~= price then assert(not pcall(price.lt, fake, 1)) end
end
