-- tries: a large sort, for ever
-- expect: skipped, budget
local t = {}
for i = 1, 20000 do t[i] = math.random() end
while true do table.sort(t) end
