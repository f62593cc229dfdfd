-- tries: an op of its own that loops, or resets the tape
-- expect: skipped, budget
local g = m.grad()
local v = g:leaf(m.nn.param({ 2 }, { seed = 1 }))
g:reset()
v = g:leaf(m.nn.param({ 2 }, { seed = 1 }))
pcall(g.custom, g, { name = "odd", inputs = { v }, forward = function() g:reset() return T.ones(2) end, backward = function() end })
local u = g:leaf(m.nn.param({ 2 }, { seed = 1 }))
g:custom { name = "odd", inputs = { u }, forward = function() while true do end end, backward = function() end }
