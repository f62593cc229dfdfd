-- tries: coroutines within coroutines, 150 deep, and a loop in the last
-- expect: skipped, budget
local function f(n)
  if n == 0 then while true do end end
  coroutine.wrap(f)(n - 1)
end
f(150)
