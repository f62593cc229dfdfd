-- m.nn: layers and optimisers.
local t = require "harness"
local m = require "moonshelf"

local function layers(list) return t.plan(t.recipe { model = m.nn.sequential(list) }).model.layers end
local function optimizer(word) return t.plan(t.recipe { train = { optimizer = word } }).train.optimizer end

t.test("layers stand in the plan from first to last", function()
  local got = layers { m.nn.dense(64, "relu"), m.nn.dense(32, "tanh"), m.nn.dense(8), m.nn.dense(1, "sigmoid") }
  local want = { { 64, "relu" }, { 32, "tanh" }, { 8, "linear" }, { 1, "sigmoid" } }
  t.equal(#got, #want)
  for i, layer in ipairs(got) do t.has(layer, { type = "dense", units = want[i][1], activation = want[i][2] }) end
end)

t.test("a layer says what is wrong with it", function()
  t.fails(function() m.nn.dense() end, "m.nn.dense: units must be a whole number from 1 to 65536, got nothing")
  t.fails(function() m.nn.dense(0) end, "got 0")
  t.fails(function() m.nn.dense("64") end, 'got the string "64"')
  t.fails(function() m.nn.dense(64, "rellu") end, "m.nn.dense: activation", "did you mean 'relu'?")
  t.fails(function() m.nn.dense(64, true) end, "one of linear, relu, sigmoid, tanh, gelu, leaky_relu, softplus, got true")
end)

t.test("a model ends in one unit that is a probability", function()
  t.fails(function() layers { m.nn.dense(4, "sigmoid") } end, "the last layer must have 1 unit (the probability), got 4")
  t.fails(function() layers { m.nn.dense(1, "relu") } end, 'the last layer must be "sigmoid"', 'got "relu"')
  t.fails(function() m.nn.sequential {} end, "m.nn.sequential must not be empty")
  t.fails(function() m.nn.sequential(m.nn.dense(1, "sigmoid")) end, "m.nn.sequential must be a list of layers, got a layer")
  t.fails(function() m.nn.sequential { m.nn.dense(1, "sigmoid"), 5 } end, "layer 2 must be a layer such as", "got 5")
  t.fails(function() m.nn.sequential { m.id "user" } end, "got a feature")
end)

t.test("Adam has the textbook's defaults and takes others", function()
  t.equal(optimizer(m.nn.adam()), { type = "adam", lr = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7 })
  t.equal(optimizer(m.nn.adam { lr = 0.1, beta1 = 0, beta2 = 0.5, epsilon = 1e-8 }),
    { type = "adam", lr = 0.1, beta1 = 0, beta2 = 0.5, epsilon = 1e-8 })
end)

t.test("Adam says what is wrong with it", function()
  t.fails(function() m.nn.adam { lr = 0 } end, "m.nn.adam: lr must be a number above 0, got 0")
  t.fails(function() m.nn.adam { lr = "fast" } end, 'got the string "fast"')
  t.fails(function() m.nn.adam { beta1 = 1 } end, "beta1 must be a number at least 0 and below 1, got 1")
  t.fails(function() m.nn.adam { rate = 1 } end, "unknown option 'rate'")
  t.fails(function() m.nn.adam(0.1) end, "must be given a table of options, got 0.1")
end)

t.done()
