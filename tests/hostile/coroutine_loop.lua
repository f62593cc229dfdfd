-- tries: a loop in a coroutine, resumed for ever
-- expect: skipped, budget
while true do
  coroutine.resume(coroutine.create(function() while true do end end))
end
