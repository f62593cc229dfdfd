-- tries: a plain search of a long text, for ever
-- expect: skipped, budget
local s = ("a"):rep(400000)
while true do s:find("b", 1, true) end
