-- tries: comparisons that sort
-- expect: skipped, error
-- says: overflow
local function f() table.sort({ 2, 1 }, f) end
f()
