-- tries: weak keys put in later, in every way there is
-- expect: works
local mt = {}
setmetatable({}, mt)
assert(not pcall(function() mt.__mode = "k" end))
assert(not pcall(rawset, mt, "__mode", "k"))
local base = setmetatable({}, { __index = {} })
setmetatable({}, base)
assert(not pcall(function() base.__mode = "k" end))
getmetatable(base).__newindex = nil
assert(not pcall(function() base.__mode = "k" end))
setmetatable(base, nil)
assert(not pcall(function() base.__mode = "k" end))
setmetatable(base, { __newindex = rawset })
assert(not pcall(function() base.__mode = "k" end))
assert(rawget(base, "__mode") == nil)
