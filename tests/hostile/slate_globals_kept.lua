-- tries: what a policy leaves in an upvalue fills memory
-- expect: skipped, budget or memory
-- at: policy
local box = kept
box.all = box.all or {}
for i = 1, 1e9 do box.all[#box.all + 1] = { i } end
