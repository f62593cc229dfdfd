-- tries: an endless repeat
-- expect: skipped, budget
repeat until false
