-- tries: comparisons that lie
-- expect: works
local t = {}
for i = 1, 300 do t[i] = i * 7919 % 300 end
table.sort(t, function() return true end)
table.sort(t, function() return false end)
table.sort(t, function() return math.random() < 0.5 end)
assert(#t == 300)
