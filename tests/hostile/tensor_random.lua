-- tries: random numbers, for ever
-- expect: skipped, budget
while true do T.randn { 300, 300 } end
