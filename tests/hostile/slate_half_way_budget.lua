-- tries: half of the work, and then a loop: the slate is as it was
-- expect: skipped, budget
-- at: policy
slate:boost(slate.price:gt(50), 100)
slate:keep(slate.price:gt(50))
while true do end
