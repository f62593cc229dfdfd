-- tries: a loop up to infinity
-- expect: skipped, budget
for _ = 1, math.huge do end
