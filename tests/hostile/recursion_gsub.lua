-- tries: replacement functions that call gsub
-- expect: skipped, error
-- says: overflow
local function f() return (string.gsub("x", "x", f)) end
return f()
