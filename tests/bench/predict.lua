--- predict.lua - what a score costs in a loop in Lua: net:predict and plan:predict of 64 -> 64 -> 32 -> 1, for one row and for a page.
---
---   LUA_CPATH='build/release/lua/?.so;;' lua5.4 tests/bench/predict.lua
local m = require "moonshelf"
local T, nn = m.tensor, m.nn

local net = nn.build(nn.sequential { nn.dense(64, "relu"), nn.dense(32, "relu"), nn.dense(1) }, { inputs = { 64 }, seed = 1 })

--- The best of 7 rounds of n calls.
local function time(name, n, fn)
  local best = math.huge
  for _ = 1, 7 do
    local start = os.clock()
    for _ = 1, n do fn() end
    best = math.min(best, (os.clock() - start) / n)
  end
  print(("%-32s %8.2f us"):format(name, 1e6 * best))
end

for _, rows in ipairs { 1, 100 } do
  local x, out, n = T.randn({ rows, 64 }, T.rng(1)), T.zeros { rows, 1 }, rows == 1 and 50000 or 3000
  time(("net:predict, %d rows"):format(rows), n, function() return net:predict(x) end)
  for _, precision in ipairs { "f32", "bf16", "int8" } do
    local plan = net:compile { precision = precision }
    time(("plan:predict, %d rows, %s"):format(rows, precision), n, function() return plan:predict(x, out) end)
  end
end

local x, weight = T.randn({ 1, 64 }, T.rng(1)), net:params()[1]
time("net:predict after each write", 1000, function()
  weight:set(weight:value())
  return net:predict(x)
end)
