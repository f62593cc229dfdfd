-- tries: a finaliser that loops
-- expect: skipped, error
-- says: __gc
setmetatable({}, { __gc = function() while true do end end })
