-- tries: a long concat, for ever
-- expect: skipped, budget
local t = {}
for i = 1, 400 do t[i] = ("x"):rep(1000) end
while true do table.concat(t) end
