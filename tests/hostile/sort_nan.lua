-- tries: a sort of numbers with NaN
-- expect: works
local t = { 3, 0 / 0, 1, 0 / 0, 2 }
table.sort(t)
assert(#t == 5)
