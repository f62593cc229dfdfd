-- tries: weak keys that the collector takes n^2 steps for
-- expect: skipped, error
-- says: __mode
local keys, t = {}, setmetatable({}, { __mode = "k" })
for i = 1, 20000 do keys[i] = {} end
for i = 1, 19999 do t[keys[i * 7919 % 20000 + 1]] = keys[(i + 1) * 7919 % 20000 + 1] end
