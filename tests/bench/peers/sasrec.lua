-- SASRec's shape: 2 blocks, d 64, 2 heads, 50 steps, 20,000 items, batch 128; BCE over the next item and one drawn item a step.
--   lua5.4 sasrec.lua [dropout = 0]
local bench = require "bench"
local m = require "moonshelf"
local T, nn = m.tensor, m.nn
local ITEMS, STEPS, D, BATCH, ROWS = 20000, 50, 64, 128, 4096
local dropout = tonumber(arg[1]) or 0

local rng = T.rng(1)
local item = nn.param({ ITEMS + 1, D }, { name = "item", init = "normal", sparse = true, seed = 1 })
local place = nn.param({ STEPS, D }, { name = "place", init = "normal", seed = 2 })
local block = nn.transformer { heads = 2, causal = true, feed = D, dropout = dropout }
local body = nn.build(nn.sequential { nn.dropout(dropout), block, block, nn.layer_norm() }, { inputs = { STEPS, D }, seed = 3 })
local params = body:params()
params[#params + 1], params[#params + 2] = item, place
local opt = nn.make_optimizer(nn.adam { lr = 1e-3, beta2 = 0.98 }, params)

local log = T.randint({ ROWS, STEPS + 1 }, 2, ITEMS + 1, rng)
local ones, zeros = T.ones { BATCH, STEPS }, T.zeros { BATCH, STEPS }
local g = m.grad()

local function step()
  local rows = log:take(T.randint(BATCH, 1, ROWS, rng), 1)
  local before, after = rows:slice(2, 1, STEPS), rows:slice(2, 2, STEPS + 1)
  local drawn = T.randint({ BATCH, STEPS }, 2, ITEMS + 1, rng)
  g:reset()
  local x = body(g, g:gather(item, before) * math.sqrt(D) + place)
  local good = (x * g:gather(item, after)):sum(3)
  local bad = (x * g:gather(item, drawn)):sum(3)
  g:backward(g:bce_logits(good, ones) + g:bce_logits(bad, zeros))
  opt:step()
end

bench.report(bench.seconds(step))
