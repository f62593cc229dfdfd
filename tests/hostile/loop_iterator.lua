-- tries: an iterator without an end
-- expect: skipped, budget
for _ in function() return 1 end do end
