-- tries: views out of bounds
-- expect: works
local t = T.zeros { 3, 4 }
assert(not pcall(t.slice, t, 1, 2, 9))
assert(not pcall(t.slice, t, 3, 1))
assert(not pcall(function() return t[4] end))
assert(not pcall(function() return t[0] end))
assert(not pcall(t.reshape, t, { 5, 5 }))
assert(not pcall(t.take, t, { 4 }))
assert(not pcall(t.gather, t, 2, T { { 5 } }:to "i64"))
assert(not pcall(t.scatter_add, t, { 9 }, T.ones { 1, 4 }))
