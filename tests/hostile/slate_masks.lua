-- tries: masks, for ever
-- expect: skipped, budget
-- at: policy
local a = slate.price:lt(20)
while true do a = a | ~a end
