-- tries: two coroutines that yield to each other
-- expect: skipped, budget
local f = coroutine.wrap(function() while true do coroutine.yield() end end)
while true do f() end
