-- tries: vars of a tape that was reset
-- expect: skipped, error
local g = m.grad()
local v = g:constant(T.ones(3))
g:reset()
return v:value()
