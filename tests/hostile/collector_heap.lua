-- tries: a heap of small tables, and then blocks that do not fit
-- expect: skipped, budget or memory
local t = {}
for i = 1, 60000 do t[i] = { i } end
while true do
  pcall(function()
    local s = ("x"):rep(400000)
    while true do s = s .. s end
  end)
end
