-- tries: a table that says everything twice, 35 times
-- expect: skipped, budget
local t = {}
for _ = 1, 35 do t = { t, t } end
pcall(require "cjson".encode, t)
while true do end
