-- tries: a long text in capitals, for ever
-- expect: skipped, budget
local s = ("x"):rep(400000)
while true do s:upper() end
