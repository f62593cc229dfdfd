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

---------------------------------------------------------------------------------------------------- every layer

local nn = m.nn
local ending = nn.dense(1, "sigmoid")
local history = m.history("item", { last = 5 })
local features = { m.id "user", m.id "item", m.category "category", m.log "price", history }

--- The plan of one layer, before the last.
local function layer(word)
  return t.plan(t.recipe { features = features, model = nn.sequential { word, ending } }).model.layers[1]
end

t.test("every layer stands in the plan with what it was given and nothing else", function()
  local function is(word, want)
    want.where = word.where
    t.equal(layer(word), want)
  end
  is(nn.dense(8, "gelu", { init = "he", bias = false, l2 = 1e-4 }),
    { type = "dense", units = 8, activation = "gelu", init = "he", bias = false, l2 = 1e-4 })
  is(nn.activation "softplus", { type = "activation", activation = "softplus" })
  is(nn.dropout(0.5), { type = "dropout", rate = 0.5 })
  is(nn.batch_norm(), { type = "batch_norm" })
  is(nn.batch_norm { momentum = 0.2, epsilon = 1e-4 }, { type = "batch_norm", momentum = 0.2, epsilon = 1e-4 })
  is(nn.layer_norm { epsilon = 1e-6 }, { type = "layer_norm", epsilon = 1e-6 })
  is(nn.cross(), { type = "cross", layers = 1 })
  is(nn.cross(3, { freeze = true }), { type = "cross", layers = 3, freeze = true })
  is(nn.fm(), { type = "fm", input = "fields" })
  is(nn.flatten { input = "history" }, { type = "flatten", input = "history" })
  is(nn.reshape { 3, 2 }, { type = "reshape", shape = { 3, 2 } })
  is(nn.input "numbers", { type = "input", input = "numbers" })
  is(nn.embedding(1, { input = "item.id" }), { type = "embedding", dim = 1, input = "item.id" })
  is(nn.embedding_bag(4, { input = "history.ids", mode = "sum" }), { type = "embedding_bag", dim = 4, input = "history.ids", mode = "sum" })
  is(nn.position { input = "history" }, { type = "position", input = "history" })
  is(nn.attention { heads = 2, causal = true }, { type = "attention", heads = 2, causal = true })
  is(nn.transformer { heads = 2, causal = true, feed = 32, dropout = 0.1, share = "t" },
    { type = "transformer", heads = 2, causal = true, feed = 32, dropout = 0.1, share = "t" })
  is(nn.gru(7), { type = "gru", units = 7 })
  is(nn.pool "last", { type = "pool", mode = "last" })
  is(nn.mask(), { type = "mask" })
  is(nn.din(), { type = "din", input = "item", history = "history" })
  is(nn.din { input = "category", units = 8 }, { type = "din", input = "category", history = "history", units = 8 })
end)

t.test("layers are made of layers, with options beside the list", function()
  local got = layer(nn.parallel {
    nn.input "x",
    nn.sequential { input = "history", nn.gru(4), nn.pool "last" },
    nn.residual { freeze = true, nn.dense(3) },
    merge = "concat",
  })
  t.has(got, { type = "parallel", merge = "concat" })
  t.equal(#got.layers, 3)
  t.has(got.layers[1], { type = "input", input = "x" })
  t.has(got.layers[2], { type = "sequential", input = "history" })
  t.has(got.layers[2].layers[1], { type = "gru", units = 4 })
  t.has(got.layers[3], { type = "residual", freeze = true })
  t.has(got.layers[3].layers[1], { type = "dense", units = 3 })
  assert(got.layers[3].layers[1].where, "a layer within keeps its place")
end)

t.test("every layer says what is wrong with it", function()
  t.fails(function() nn.dense(8, "relu", { unit = 3 }) end, "m.nn.dense: unknown option 'unit'")
  t.fails(function() nn.dense(8, "relu", { bias = 1 }) end, "m.nn.dense: bias must be true or false, got 1")
  t.fails(function() nn.dense(8, "relu", { init = "hee" }) end, "did you mean 'he'?")
  t.fails(function() nn.dropout(1) end, "m.nn.dropout must be a number at least 0 and at most 0.99, got 1")
  t.fails(function() nn.dropout() end, "got nothing")
  t.fails(function() nn.activation() end, "m.nn.activation must be one of linear")
  t.fails(function() nn.batch_norm { momentum = 2 } end, "m.nn.batch_norm: momentum")
  t.fails(function() nn.layer_norm(3) end, "m.nn.layer_norm must be given a table of options, got 3")
  t.fails(function() nn.cross(0) end, "m.nn.cross: layers must be a whole number from 1 to 16, got 0")
  t.fails(function() nn.embedding(4) end, "m.nn.embedding: 'input' is missing")
  t.fails(function() nn.embedding_bag(4, { input = "history.ids", mode = "min" }) end, "there is no \"min\"")
  t.fails(function() nn.attention { head = 2 } end, "unknown option 'head'; did you mean 'heads'?")
  t.fails(function() nn.transformer { dropout = -1 } end, "m.nn.transformer: dropout")
  t.fails(function() nn.gru("8") end, 'got the string "8"')
  t.fails(function() nn.pool "first" end, "m.nn.pool: there is no")
  t.fails(function() nn.reshape {} end, "m.nn.reshape must not be empty")
  t.fails(function() nn.reshape { 2, 0 } end, "m.nn.reshape[2] must be a whole number")
  t.fails(function() nn.input "" end, "m.nn.input must not be the empty string")
  t.fails(function() nn.residual { 5 } end, "m.nn.residual: layer 1 must be a layer such as", "got 5")
  t.fails(function() nn.residual { merge = "sum" } end, "m.nn.residual must not be empty")
  t.fails(function() nn.residual { nn.dense(2), merge = "sum" } end, "m.nn.residual: unknown option 'merge'")
  t.fails(function() nn.parallel { nn.dense(2), merge = "add" } end, "m.nn.parallel: merge: there is no")
  t.fails(function() nn.sequential { nn.dense(2), frozen = true } end, "m.nn.sequential: unknown option 'frozen'")
end)

t.test("an input that the features do not give is named with its line", function()
  t.fails(function() layers { nn.input "histroy", nn.dense(1, "sigmoid") } end, "m.nn.input", "no input 'histroy'")
  t.fails(function() layer(nn.input "histroy") end, "the features give no input 'histroy'; did you mean 'history'?")
  t.fails(function() layers { nn.din(), nn.dense(1, "sigmoid") } end, "m.nn.din: the features give no input 'history'")
  t.fails(function() layer(nn.residual { nn.sequential { nn.dense(2, "relu", { input = "brand" }) } }) end, "m.nn.dense: the features give no")
  t.fails(function() layer(nn.sequential { input = "prices", nn.dense(2) }) end, "m.nn.sequential: the features give no input 'prices'")
end)

t.test("the last layer may be an activation", function()
  local got = layers { nn.dense(1), nn.activation "sigmoid" }
  t.has(got[2], { type = "activation", activation = "sigmoid" })
  t.fails(function() layers { nn.dense(1), nn.activation "tanh" } end, 'the last layer must be "sigmoid"', 'got "tanh"')
  t.fails(function() layers { nn.dense(1), nn.dropout(0.1) } end, 'needs "sigmoid" in the last layer')
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
