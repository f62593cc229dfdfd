-- tries: an endless loop
-- expect: skipped, budget
while true do end
