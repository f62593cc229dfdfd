-- tries: next over a table that was full once
-- expect: skipped, budget
local t = {}
for i = 1, 1 << 15 do t["k" .. i] = i end
for i = 1, 1 << 15 do t["k" .. i] = nil end
while true do next(t) end
