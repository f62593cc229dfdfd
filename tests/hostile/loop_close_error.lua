-- tries: an error in a to-be-closed variable that hides the spent budget
-- expect: skipped, budget
local x <close> = setmetatable({}, { __close = function() error("nothing happened", 0) end })
while true do end
