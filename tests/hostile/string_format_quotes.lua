-- tries: a long text in quotes
-- expect: skipped, budget
local s = ("\0"):rep(400000)
while true do string.format("%q", s) end
