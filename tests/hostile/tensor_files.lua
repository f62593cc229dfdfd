-- tries: files that a script may not read or write
-- expect: works
assert(not pcall(T.load, "/etc/passwd"))
assert(not pcall(T.load, "../x.npy"))
assert(not pcall(T.load, "/dev/zero"))
assert(not pcall(T.save, "x.npy", T.ones(1)))
assert(not pcall(T.limit, 1))
