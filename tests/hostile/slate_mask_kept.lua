-- tries: the mask of a call before
-- expect: skipped, error
-- says: kept after its policy
-- at: policy
local box = kept
box.mask = box.mask or slate.price:lt(50)
slate:keep(box.mask)
