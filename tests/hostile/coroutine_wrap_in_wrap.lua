-- tries: a wrap inside a wrap without an end
-- expect: skipped, error
local function f() return coroutine.wrap(f)() end
f()
