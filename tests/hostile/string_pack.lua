-- tries: formats of pack that promise more than they hold
-- expect: works
assert(not pcall(string.pack, "i17", 1))
assert(not pcall(string.packsize, ("c2147483647"):rep(10)))
assert(not pcall(string.unpack, "s8", ("\255"):rep(8)))
assert(not pcall(string.unpack, "i4", "x", 1 << 40))
