-- tries: next with a key that is not there, pairs while keys go and come
-- expect: works
assert(not pcall(next, {}, "x"))
local t = { a = 1, b = 2 }
for k in pairs(t) do t[k] = nil end
assert(next(t) == nil)
