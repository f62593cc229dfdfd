-- tries: the same by tonumber
-- expect: skipped, budget
local s = ("1"):rep(400000)
while true do tonumber(s) tonumber(s, 36) tonumber(s) end
