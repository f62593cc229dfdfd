-- tries: tensors from tables, for ever
-- expect: skipped, budget
local t = {}
for i = 1, 10000 do t[i] = i end
while true do T(t) end
