-- tries: a tensor as tables
-- expect: skipped, budget
local a = T.ones { 1000, 1000 }
while true do a:to_table() end
