-- tries: exponentials, for ever
-- expect: skipped, budget
local a = T.ones(100000)
while true do a:exp_() end
