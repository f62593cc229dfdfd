-- tries: the same backwards, without a loop
-- expect: skipped, budget
local s = ("x"):rep(400000)
local t = { s }
for i = 1, 1000 do t[1] = s:reverse():lower():reverse():upper() end
