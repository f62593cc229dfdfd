-- tries: tables in tables
-- expect: skipped, budget or memory
local t = {}
for _ = 1, 1e9 do t = { t, {}, {} } end
