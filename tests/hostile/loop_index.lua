-- tries: __index functions that lead to each other
-- expect: skipped, budget
local t = setmetatable({}, {})
getmetatable(t).__index = function(_, k) return k end
while true do local x = t[t] end
