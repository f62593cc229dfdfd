-- tries: a table as large as memory
-- expect: skipped, budget or memory
local t = {}
for i = 1, 1e9 do t[i] = i end
