-- tries: factors that are no numbers
-- expect: works
-- at: policy
local all = slate.position:ge(1)
for _, factor in ipairs { 0 / 0, 1 / 0, -1 / 0, 0, -1, 1e300 } do assert(not pcall(slate.boost, slate, all, factor)) end
