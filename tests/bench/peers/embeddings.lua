-- Eight fields of 100,000 values and dimension 16 beside sixteen numbers -> 256 relu -> 128 relu -> 1, BCE, Adam, batch 1024.
local bench = require "bench"
local m = require "moonshelf"
local T, nn = m.tensor, m.nn
local FIELDS, VALUES, D, NUMBERS, BATCH, ROWS = 8, 100000, 16, 16, 1024, 500000

local rng = T.rng(1)
local ids = ((T.rand({ ROWS, FIELDS }, rng) ^ 3) * (VALUES - 1)):to "i64" + 1
local x, y = T.randn({ ROWS, NUMBERS }, rng), T.rand({ ROWS, 1 }, rng):lt(0.3):to "f32"

local tables, params = {}, {}
for f = 1, FIELDS do
  tables[f] = nn.param({ VALUES, D }, { name = "field" .. f, init = "normal", sparse = true, seed = f })
  params[f] = tables[f]
end
local model = nn.sequential { nn.dense(256, "relu"), nn.dense(128, "relu"), nn.dense(1) }
local net = nn.build(model, { inputs = { FIELDS * D + NUMBERS }, seed = 9 })
for _, p in ipairs(net:params()) do params[#params + 1] = p end
local opt = nn.make_optimizer(nn.adam {}, params)

local g, at = m.grad(), 1
local function step()
  if at + BATCH > ROWS then at = 1 end
  local rows = ids:slice(1, at, at + BATCH - 1)
  g:reset()
  local parts = {}
  for f = 1, FIELDS do parts[f] = g:gather(tables[f], rows:slice(2, f, f):reshape { BATCH }) end
  parts[FIELDS + 1] = g:constant(x:slice(1, at, at + BATCH - 1))
  g:backward(g:bce_logits(net(g, g:concat(parts)), y:slice(1, at, at + BATCH - 1)))
  opt:step()
  at = at + BATCH
end

bench.report(bench.seconds(step))
