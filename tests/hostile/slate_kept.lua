-- tries: the slate of a call before
-- expect: skipped, error
-- says: kept after its policy
-- at: policy
local box = kept
box.slate = box.slate or slate
return #box.slate == 0 or box.slate:sort()
