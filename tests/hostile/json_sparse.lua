-- tries: a table with one far key
-- expect: works
assert(#require "cjson".encode({ [1 << 40] = 1 }) < 100)
