-- tries: the metatables of userdata
-- expect: works
-- at: policy
for _, x in ipairs { slate, slate.price, slate.price:lt(3), ctx.clock, T.zeros(2), m.grad() } do
  assert(not pcall(setmetatable, x, {}))
  assert(getmetatable(x) == false or getmetatable(x) == nil)
  assert(not pcall(rawset, x, "x", 1))
end
