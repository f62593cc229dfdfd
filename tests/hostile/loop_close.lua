-- tries: a loop in a to-be-closed variable
-- expect: skipped, budget
local x <close> = setmetatable({}, { __close = function() while true do end end })
while true do end
