-- Scoring rows with the trained MLP, called from Lua: a plan, and memory that is there.
--   lua5.4 score.lua rows [precision = "f32"]
local bench = require "bench"
local m = require "moonshelf"
local T, nn = m.tensor, m.nn
local rows, precision = tonumber(arg[1]), arg[2] or "f32"

local model = nn.sequential { nn.dense(64, "relu"), nn.dense(32, "relu"), nn.dense(1, "sigmoid") }
local net = nn.build(model, { inputs = { 64 }, seed = 1 })
local x, out = T.randn({ rows, 64 }, T.rng(1)), T.zeros { rows, 1 }
local plan = net:compile { precision = precision, calibrate = x }
local calls = math.max(1, 2000 // rows) -- the clock itself costs as much as a row

bench.report(bench.seconds(function() for _ = 1, calls do plan:predict(x, out) end end) / calls)
