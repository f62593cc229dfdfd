-- tries: a tape that grows without an end
-- expect: skipped, budget or memory
local g = m.grad()
local v = g:constant(T.ones(100000))
while true do v = v + v end
