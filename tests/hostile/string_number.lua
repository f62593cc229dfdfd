-- tries: a number of a million digits, for ever
-- expect: skipped, budget
local s = ("0"):rep(400000)
local x = 0
while true do x = x + s + s + s + s + s + s + s + s end
