-- tries: pcalls within pcalls, and a loop when they are over
-- expect: skipped, budget
local function f(n)
  if n > 0 then pcall(f, n - 1) end
  while true do end
end
pcall(f, 100)
