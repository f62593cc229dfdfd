-- tries: a to-be-closed variable that loops when its coroutine is closed
-- expect: skipped, budget
local co = coroutine.create(function()
  local x <close> = setmetatable({}, { __close = function() while true do end end })
  coroutine.yield()
end)
coroutine.resume(co)
coroutine.close(co)
while true do end
