-- tries: tensors kept until there is no room
-- expect: skipped, budget or memory
local all = {}
while true do all[#all + 1] = T.zeros(500000) end
