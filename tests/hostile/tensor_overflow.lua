-- tries: shapes whose size overflows
-- expect: works
assert(not pcall(T.zeros, { 1 << 62, 4 }))
assert(not pcall(T.zeros, { 1 << 32, 1 << 32 }))
assert(not pcall(T.zeros, { -1 }))
assert(not pcall(T.ones(2).expand, T.ones(2), { 1 << 62, 2 }))
