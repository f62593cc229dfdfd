-- tries: a list of many values for is_in
-- expect: skipped, budget
-- at: policy
local t = {}
for i = 1, 50000 do t[i] = i end
while true do slate.price:is_in(t) end
