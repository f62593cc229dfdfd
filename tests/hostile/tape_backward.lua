-- tries: the way back, for ever
-- expect: skipped, budget
local p = m.nn.param({ 200, 200 }, { seed = 1 })
local g = m.grad()
while true do
  g:reset()
  g:backward(g:leaf(p):matmul(p):sum())
end
