-- tries: a long format, for ever
-- expect: skipped, budget
local f = ("b"):rep(100000)
while true do string.packsize(f) end
