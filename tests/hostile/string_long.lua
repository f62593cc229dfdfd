-- tries: a text of four megabytes
-- expect: skipped, budget or memory
-- at: policy, gate
local s = ("x"):rep(400000)
s = s .. s .. s .. s .. s .. s .. s .. s .. s .. s
return #s
