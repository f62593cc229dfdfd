-- tries: half of the work, and then an error: the slate is as it was
-- expect: skipped, error
-- says: half way
-- at: policy
slate:boost(slate.price:gt(50), 100)
slate:keep(slate.price:gt(50))
error("half way")
