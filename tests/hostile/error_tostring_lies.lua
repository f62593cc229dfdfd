-- tries: an error whose __tostring answers a table
-- expect: skipped, error
error(setmetatable({}, { __tostring = function() return {} end }))
