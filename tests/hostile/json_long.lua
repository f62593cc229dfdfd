-- tries: a long text as JSON, for ever
-- expect: skipped, budget
local json = require "cjson"
local s = ("\0"):rep(50000)
while true do json.decode(json.encode(s)) end
