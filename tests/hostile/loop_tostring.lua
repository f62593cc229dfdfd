-- tries: a loop in the __tostring of an error object
-- expect: skipped, budget
error(setmetatable({}, { __tostring = function() while true do end end }))
