-- tries: tensors made and dropped, for ever
-- expect: skipped, budget
local a = T.ones { 300, 300 }
while true do a = a + 1 end
