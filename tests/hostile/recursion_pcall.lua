-- tries: pcalls without an end
-- expect: skipped, budget
local function f() return pcall(f) end
f()
while true do end
