-- tries: NaN as a key
-- expect: skipped, error
-- says: NaN
local t = {}
t[0 / 0] = 1
