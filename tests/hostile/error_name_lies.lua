-- tries: a type name that lies
-- expect: works
local t = setmetatable({}, { __name = 42 })
assert(type(tostring(t)) == "string")
local u = setmetatable({}, { __name = ("x"):rep(10000) })
assert(not pcall(math.floor, u))
