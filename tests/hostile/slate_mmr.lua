-- tries: mmr, for ever
-- expect: skipped, budget
-- at: policy
while true do slate:mmr { by = "category", k = 1000 } end
