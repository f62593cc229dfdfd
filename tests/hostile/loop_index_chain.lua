-- tries: a circle of __index tables
-- expect: skipped, error
-- says: loop
local a, b = {}, {}
setmetatable(a, { __index = b })
setmetatable(b, { __index = a })
local x = a.nothing
return x
