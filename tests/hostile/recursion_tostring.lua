-- tries: a __tostring that asks for itself
-- expect: skipped, error
-- says: overflow
local t = setmetatable({}, { __tostring = function(t) return tostring(t) end })
return tostring(t)
