-- tries: a recursion without an end
-- expect: skipped, budget or memory
local function f() return 1 + f() end
return f()
