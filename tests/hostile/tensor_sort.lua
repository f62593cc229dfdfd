-- tries: the largest of many, for ever
-- expect: skipped, budget
local a = T.rand(100000)
while true do a:topk(50000) end
