-- tries: the slate handed on through coroutines
-- expect: works
-- at: policy
local f = coroutine.wrap(function(s) coroutine.yield(#s) s:sort() coroutine.yield(#s) end)
assert(f(slate) == f())
