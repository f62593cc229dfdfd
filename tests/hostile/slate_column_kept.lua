-- tries: the column of a call before
-- expect: skipped, error
-- says: kept after its policy
-- at: policy
local box = kept
box.column = box.column or slate.price
return box.column:lt(50)
