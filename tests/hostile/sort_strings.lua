-- tries: a sort of long texts that differ at their end
-- expect: skipped, budget
local s, t = ("x"):rep(50000), {}
for i = 1, 100 do t[i] = s .. math.random(1000) end
while true do table.sort(t) end
