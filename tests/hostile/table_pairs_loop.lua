-- tries: a __pairs that never ends
-- expect: skipped, budget
for _ in pairs(setmetatable({}, { __pairs = function() return function() return 1 end end })) do end
