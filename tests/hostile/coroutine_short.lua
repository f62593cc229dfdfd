-- tries: coroutines that end before the hook looks
-- expect: skipped, budget
while true do coroutine.wrap(function() for _ = 1, 150 do end end)() end
