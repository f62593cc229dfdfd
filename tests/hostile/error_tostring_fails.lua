-- tries: an error whose __tostring fails
-- expect: skipped, error
error(setmetatable({}, { __tostring = function() error("again") end }))
