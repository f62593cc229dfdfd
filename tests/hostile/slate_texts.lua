-- tries: notes that are kept, for ever
-- expect: skipped, budget
-- at: policy
local all, s = slate.position:ge(1), ("x"):rep(10000)
while true do slate:boost(all, 1.01, s) end
