-- tries: boosts, for ever
-- expect: skipped, budget
-- at: policy
local cheap = slate.price:lt(20)
while true do slate:boost(cheap, 1.01) end
