-- tries: a table that holds itself
-- expect: skipped, error
-- says: nested
local t = {}
t[1] = t
return require "cjson".encode(t)
