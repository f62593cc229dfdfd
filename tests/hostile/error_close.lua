-- tries: errors in to-be-closed variables
-- expect: skipped, error
local a <close> = setmetatable({}, { __close = function() error("first") end })
local b <close> = setmetatable({}, { __close = function() error("second") end })
error("body")
