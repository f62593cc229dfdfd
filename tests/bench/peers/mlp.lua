-- The MLP of the articles: 64 -> 64 relu -> 32 relu -> 1, BCE, Adam, shuffled rows.
--   lua5.4 mlp.lua batch [threads = 1]
local bench = require "bench"
local m = require "moonshelf"
local T, nn = m.tensor, m.nn
local batch, threads = tonumber(arg[1]), tonumber(arg[2]) or 1
local rows = batch <= 64 and 64000 or 200 * batch

local rng = T.rng(1)
local x = T.randn({ rows, 64 }, rng)
local y = (x:slice(2, 1, 8):sum(2, true) + T.randn({ rows, 1 }, rng) * 0.5):gt(0):to "f32"
local model = nn.sequential { nn.dense(64, "relu"), nn.dense(32, "relu"), nn.dense(1, "sigmoid") }
local net = nn.build(model, { inputs = { 64 }, seed = 1 })

local function epoch() net:fit { x = x, y = y, loss = "bce", optimizer = nn.adam {}, epochs = 1, batch = batch, threads = threads } end

bench.report(bench.seconds(epoch, threads) / (rows // batch))
