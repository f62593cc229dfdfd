-- tries: JSON that is nested deep
-- expect: works
local json = require "cjson"
assert(not pcall(json.decode, ("["):rep(100000)))
local t = {}
for _ = 1, 1000 do t = { t } end
assert(not pcall(json.encode, t))
