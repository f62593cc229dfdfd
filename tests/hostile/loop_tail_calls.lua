-- tries: endless tail calls, which take no stack
-- expect: skipped, budget
local function f() return f() end
f()
