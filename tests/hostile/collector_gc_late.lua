-- tries: a finaliser put in later
-- expect: skipped, error
-- says: __gc
local mt = {}
setmetatable({}, mt)
mt.__gc = function() while true do end end
