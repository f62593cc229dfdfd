-- tries: an error in a comparison; the table stays
-- expect: works
local t = { 3, 1, 2 }
assert(not pcall(table.sort, t, error))
assert(t[1] == 3 and t[2] == 1 and t[3] == 2)
