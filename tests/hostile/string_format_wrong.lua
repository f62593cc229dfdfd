-- tries: formats that are none
-- expect: works
assert(not pcall(string.format, "%1000d", 1))
assert(not pcall(string.format, "%y", 1))
assert(not pcall(string.format, "%d", "x"))
assert(not pcall(string.format, ("%s"):rep(300)))
