-- tries: a yield through table.sort and string.gsub
-- expect: works
local co = coroutine.create(function() table.sort({ 2, 1 }, function() coroutine.yield() end) end)
assert(not coroutine.resume(co))
co = coroutine.create(function() string.gsub("x", ".", coroutine.yield) end)
assert(not coroutine.resume(co))
