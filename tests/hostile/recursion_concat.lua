-- tries: a __concat of a long chain
-- expect: skipped, error
-- says: overflow
local t = setmetatable({}, {})
getmetatable(t).__concat = function(a, b) return a .. b end
return t .. t
