-- tries: nothing, 2^63 times
-- expect: works
assert((""):rep(math.maxinteger) == "")
