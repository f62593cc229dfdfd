-- tries: small products, for ever
-- expect: skipped, budget
local a = T.ones { 100, 100 }
while true do a:matmul(a) end
