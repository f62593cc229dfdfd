-- tries: as many coroutines as memory holds
-- expect: skipped, budget or memory
local all = {}
while true do
  local co = coroutine.create(function() coroutine.yield() end)
  coroutine.resume(co)
  all[#all + 1] = co
end
