-- tries: what is not JSON
-- expect: works
local json = require "cjson"
for _, x in ipairs { print, coroutine.create(print), 0 / 0, 1 / 0, { [{}] = 1 } } do assert(not pcall(json.encode, x)) end
for _, s in ipairs { "", "{", "nul", "\"\\u12\"", "[1,]", "\255", "1e", "{\"a\":1,,}" } do assert(not pcall(json.decode, s)) end
