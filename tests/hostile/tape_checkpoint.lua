-- tries: checkpoints in checkpoints without an end
-- expect: skipped, error
local g = m.grad()
local function f(v) return v:tape():checkpoint(f, v) end
return f(g:leaf(m.nn.param({ 2 }, { seed = 1 })))
