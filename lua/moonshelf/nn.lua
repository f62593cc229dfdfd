--- nn.lua - m.nn: models as trees of layers, the optimisers that train them, and how the learning rate goes.
---
--- A layer checks its own options here; whether layers fit each other is known when their inputs are, and said by the core with the
--- line of the layer.

local native = require "moonshelf.native"
local words = require "moonshelf.words"

local nn = {}

local ACTIVATIONS = { "linear", "relu", "sigmoid", "tanh", "gelu", "leaky_relu", "softplus" }

---------------------------------------------------------------------------------------------------- what layers share

-- Options of every layer. What is not given is not in the plan: defaults are the core's.
local EVERY_LAYER = { input = { words.text }, share = { words.text }, freeze = { words.boolean } }

--- A word of a layer: its fields, and options checked against EVERY_LAYER and `spec`.
---@param name string  "m.nn.dense"
---@param where string
---@param fields table
---@param options any
---@param spec? table<string, table>
---@return moonshelf.Layer
local function layer(name, where, fields, options, spec)
  local all = {}
  for key, rule in pairs(EVERY_LAYER) do all[key] = rule end
  for key, rule in pairs(spec or {}) do all[key] = rule end
  for key, value in pairs(words.options(where, name, options, all)) do fields[key] = value end
  return words.new("a layer", where, fields)
end

local rate = words.number { min = 0, max = 0.99 }
local units = words.integer(1, 65536)
local heads = words.integer(1, 256)
local epsilon = { words.number { min = 1e-12, max = 1 } }

---------------------------------------------------------------------------------------------------- layers of numbers

--- A dense layer.
---@param count integer  units
---@param activation? moonshelf.Activation
---@param options? moonshelf.DenseOptions
---@return moonshelf.Layer
function nn.dense(count, activation, options)
  local where = words.where("m.nn.dense")
  count = units(where, "m.nn.dense: units", count)
  if activation == nil then activation = "linear" end
  words.one_of(ACTIVATIONS)(where, "m.nn.dense: activation", activation)
  return layer("m.nn.dense", where, { type = "dense", units = count, activation = activation }, options,
    { init = { words.one_of { "glorot", "he", "normal", "zeros" } }, bias = { words.boolean },
      l2 = { words.number { min = 0, max = 1e6 } } })
end

--- An activation alone.
---@param name moonshelf.Activation
---@param options? moonshelf.LayerOptions
---@return moonshelf.Layer
function nn.activation(name, options)
  local where = words.where("m.nn.activation")
  words.one_of(ACTIVATIONS)(where, "m.nn.activation", name)
  return layer("m.nn.activation", where, { type = "activation", activation = name }, options)
end

--- While training, each number is 0 with this probability (Srivastava et al. 2014).
---@param probability number
---@param options? moonshelf.LayerOptions
---@return moonshelf.Layer
function nn.dropout(probability, options)
  local where = words.where("m.nn.dropout")
  return layer("m.nn.dropout", where, { type = "dropout", rate = rate(where, "m.nn.dropout", probability) }, options)
end

--- Mean 0 and deviation 1 of each number over the batch (Ioffe & Szegedy 2015).
---@param options? { momentum: number?, epsilon: number?, input: string?, share: string?, freeze: boolean? }
---@return moonshelf.Layer
function nn.batch_norm(options)
  return layer("m.nn.batch_norm", words.where("m.nn.batch_norm"), { type = "batch_norm" }, options,
    { momentum = { words.number { min = 0, max = 1 } }, epsilon = epsilon })
end

--- Mean 0 and deviation 1 over the numbers of each row (Ba, Kiros & Hinton 2016).
---@param options? { epsilon: number?, input: string?, share: string?, freeze: boolean? }
---@return moonshelf.Layer
function nn.layer_norm(options)
  return layer("m.nn.layer_norm", words.where("m.nn.layer_norm"), { type = "layer_norm" }, options, { epsilon = epsilon })
end

--- Cross layers of DCN-v2 (Wang et al. 2021).
---@param count? integer  1 unless given
---@param options? moonshelf.LayerOptions
---@return moonshelf.Layer
function nn.cross(count, options)
  local where = words.where("m.nn.cross")
  count = words.integer(1, 16)(where, "m.nn.cross: layers", count == nil and 1 or count)
  return layer("m.nn.cross", where, { type = "cross", layers = count }, options)
end

--- The products of all pairs of fields, summed (Rendle 2010): reads "fields" unless told otherwise.
---@param options? moonshelf.LayerOptions
---@return moonshelf.Layer
function nn.fm(options)
  local made = layer("m.nn.fm", words.where("m.nn.fm"), { type = "fm" }, options)
  made.input = made.input or "fields"
  return made
end

--- All numbers of a row side by side.
---@param options? moonshelf.LayerOptions
---@return moonshelf.Layer
function nn.flatten(options)
  return layer("m.nn.flatten", words.where("m.nn.flatten"), { type = "flatten" }, options)
end

--- The numbers of a row in another shape.
---@param shape integer[]
---@param options? moonshelf.LayerOptions
---@return moonshelf.Layer
function nn.reshape(shape, options)
  local where = words.where("m.nn.reshape")
  local sizes = words.array {}
  for i, size in ipairs(words.list(where, "m.nn.reshape", shape, "a list of sizes")) do
    sizes[i] = words.integer(1, 2^24)(where, ("m.nn.reshape[%d]"):format(i), size)
  end
  return layer("m.nn.reshape", where, { type = "reshape", shape = sizes }, options)
end

---------------------------------------------------------------------------------------------------- inputs

--- The start of a branch: an input by its name.
---@param name string  "x", "numbers", "fields", "history", "item", "item.id"
---@return moonshelf.Layer
function nn.input(name)
  local where = words.where("m.nn.input")
  return layer("m.nn.input", where, { type = "input", input = words.text(where, "m.nn.input", name) })
end

--- A table of its own for ids: input = "item.id".
---@param dim integer
---@param options { input: string, share: string?, freeze: boolean? }
---@return moonshelf.Layer
function nn.embedding(dim, options)
  local where = words.where("m.nn.embedding")
  return layer("m.nn.embedding", where, { type = "embedding", dim = units(where, "m.nn.embedding: dim", dim) }, options,
    { input = { words.text, required = true } })
end

--- The sum, mean or maximum of the vectors of several ids: input = "history.ids".
---@param dim integer
---@param options { input: string, mode: "sum"|"mean"|"max"|nil, share: string?, freeze: boolean? }
---@return moonshelf.Layer
function nn.embedding_bag(dim, options)
  local where = words.where("m.nn.embedding_bag")
  return layer("m.nn.embedding_bag", where, { type = "embedding_bag", dim = units(where, "m.nn.embedding_bag: dim", dim) }, options,
    { input = { words.text, required = true }, mode = { words.one_of { "sum", "mean", "max" } } })
end

---------------------------------------------------------------------------------------------------- layers over a sequence

--- A learned vector for each step, added.
---@param options? moonshelf.LayerOptions
---@return moonshelf.Layer
function nn.position(options)
  return layer("m.nn.position", words.where("m.nn.position"), { type = "position" }, options)
end

--- Each step looks at the others (Vaswani et al. 2017).
---@param options? { heads: integer?, causal: boolean?, input: string?, share: string?, freeze: boolean? }
---@return moonshelf.Layer
function nn.attention(options)
  return layer("m.nn.attention", words.where("m.nn.attention"), { type = "attention" }, options,
    { heads = { heads }, causal = { words.boolean } })
end

--- Attention and two dense layers, each around a shortcut, with layer_norm before.
---@param options? { heads: integer?, causal: boolean?, feed: integer?, dropout: number?, input: string?, share: string?, freeze: boolean? }
---@return moonshelf.Layer
function nn.transformer(options)
  return layer("m.nn.transformer", words.where("m.nn.transformer"), { type = "transformer" }, options,
    { heads = { heads }, causal = { words.boolean }, feed = { units }, dropout = { rate } })
end

--- A gated recurrent net (Cho et al. 2014): what it knows after each step.
---@param count integer  units
---@param options? moonshelf.LayerOptions
---@return moonshelf.Layer
function nn.gru(count, options)
  local where = words.where("m.nn.gru")
  return layer("m.nn.gru", where, { type = "gru", units = words.integer(1, 16384)(where, "m.nn.gru: units", count) }, options)
end

--- A step behind the last that asks what it is (Sun et al. 2019): for training by sequences = { mask = 0.2 }.
---@param options? moonshelf.LayerOptions
---@return moonshelf.Layer
function nn.mask(options)
  return layer("m.nn.mask", words.where("m.nn.mask"), { type = "mask" }, options)
end

--- One vector of a sequence.
---@param mode "mean"|"max"|"last"|"sum"
---@param options? moonshelf.LayerOptions
---@return moonshelf.Layer
function nn.pool(mode, options)
  local where = words.where("m.nn.pool")
  words.one_of { "mean", "max", "last", "sum" }(where, "m.nn.pool", mode)
  return layer("m.nn.pool", where, { type = "pool", mode = mode }, options)
end

--- The history as it matters to the item at hand (Zhou et al. 2018): reads "item" and "history" unless told otherwise.
---@param options? { history: string?, units: integer?, input: string?, share: string?, freeze: boolean? }
---@return moonshelf.Layer
function nn.din(options)
  local made = layer("m.nn.din", words.where("m.nn.din"), { type = "din" }, options,
    { history = { words.text, default = "history" }, units = { units } })
  made.input = made.input or "item"
  return made
end

---------------------------------------------------------------------------------------------------- layers made of layers

--- A layer as plain data. A stack within another is a layer like any.
local function plain(word)
  local out = {}
  for key, value in pairs(word) do out[key] = value end
  if words.kind(word) == "a model" then out.type = "sequential" end
  return out
end

--- The list of layers in a table that may also have options.
local function split(where, what, given)
  if type(given) ~= "table" or words.kind(given) then words.expect(where, what, "a list of layers", given) end
  local given_layers, options = {}, {}
  for key, value in pairs(given) do
    if math.type(key) == "integer" then given_layers[key] = value else options[key] = value end
  end
  local list = words.each(words.list(where, what, given_layers, "a list of layers"), function(i, word)
    local kind = words.kind(word)
    if kind ~= "a layer" and kind ~= "a model" then
      words.expect(where, ("%s: layer %d"):format(what, i), "a layer such as m.nn.dense(64, \"relu\")", word)
    end
    return plain(word)
  end)
  return list, options
end

--- Layers one after the other: a model, or a part of one.
---@param layers moonshelf.Layers
---@return moonshelf.Model
function nn.sequential(layers)
  local where = words.where("m.nn.sequential")
  local list, options = split(where, "m.nn.sequential", layers)
  local fields = words.options(where, "m.nn.sequential", options, EVERY_LAYER)
  fields.layers = list
  return words.new("a model", where, fields)
end

--- What comes in, plus what layers make of it (He et al. 2016).
---@param layers moonshelf.Layers
---@return moonshelf.Layer
function nn.residual(layers)
  local where = words.where("m.nn.residual")
  local list, options = split(where, "m.nn.residual", layers)
  return layer("m.nn.residual", where, { type = "residual", layers = list }, options)
end

--- Branches on one input, their results side by side, with merge = "sum" added, or with "gate" weighed by the first and added.
---@param layers moonshelf.Branches
---@return moonshelf.Layer
function nn.parallel(layers)
  local where = words.where("m.nn.parallel")
  local list, options = split(where, "m.nn.parallel", layers)
  return layer("m.nn.parallel", where, { type = "parallel", layers = list }, options,
    { merge = { words.one_of { "concat", "sum", "gate" } } })
end

--- The product of what two branches make of a row: of the user, and of the item. The user's goes through once for all items.
---@param layers { [1]: moonshelf.Layer|moonshelf.Model, [2]: moonshelf.Layer|moonshelf.Model }
---@return moonshelf.Layer
function nn.dot(layers)
  local where = words.where("m.nn.dot")
  local list, options = split(where, "m.nn.dot", layers)
  if #list ~= 2 then words.fail(where, 'm.nn.dot: takes two layers, such as m.nn.input "user" and m.nn.input "item", got %d', #list) end
  return layer("m.nn.dot", where, { type = "dot", layers = list }, options)
end

--- The heads, each behind those that multiply it: names in order, first of all by the alphabet.
local function heads_in_order(where, given, times)
  local names, placed = words.array {}, {}
  for _ = 1, #given do
    for _, name in ipairs(given) do
      if not placed[name] and (not times[name] or placed[times[name]]) then
        names[#names + 1], placed[name] = name, true
        break
      end
    end
  end
  if #names < #given then words.fail(where, "m.nn.heads: times goes round in a circle") end
  return names
end

--- times = { purchase = "cart" }
local function read_times(where, given, value)
  if type(value) ~= "table" or words.kind(value) then words.expect(where, "m.nn.heads: times", '{ purchase = "cart" }', value) end
  for _, name in ipairs(words.keys(value)) do
    for _, head in ipairs { name, value[name] } do words.one_of(given)(where, "m.nn.heads: times", head) end
  end
  return value
end

--- A number for each task of the recipe: m.nn.heads { cart = m.nn.dense(1, "sigmoid"), purchase = m.nn.dense(1, "sigmoid") }, the last of a
--- model. With times = { purchase = "cart" } a head's probability is multiplied by another's (ESMM: Ma et al. 2018).
---@param given moonshelf.Heads
---@return moonshelf.Layer
function nn.heads(given)
  local where = words.where("m.nn.heads")
  local example = 'given heads by the names of their tasks, such as { purchase = m.nn.dense(1, "sigmoid") }'
  if type(given) ~= "table" or words.kind(given) then words.expect(where, "m.nn.heads", example, given) end
  local names, options = {}, {}
  for _, key in ipairs(words.keys(given)) do
    if type(key) ~= "string" then words.expect(where, "m.nn.heads", example, given) end
    if EVERY_LAYER[key] then options[key] = given[key] elseif key ~= "times" then names[#names + 1] = key end
  end
  if #names == 0 then words.fail(where, "m.nn.heads: it has no heads") end
  local times = given.times and read_times(words.option_place(where, "times"), names, given.times)
  names = heads_in_order(where, names, times or {})
  local list = words.each(names, function(_, name)
    local kind = words.kind(given[name])
    if kind ~= "a layer" and kind ~= "a model" then
      words.expect(words.option_place(where, name), "m.nn.heads: " .. name, 'a layer such as m.nn.dense(1, "sigmoid")', given[name])
    end
    return plain(given[name])
  end)
  return layer("m.nn.heads", where, { type = "heads", names = names, layers = list, times = times }, options)
end

--- The net in a file, or nil and what is wrong: a file that cannot be read is an error that the words can tell of like any other.
local function read_net(file)
  local fine, made, why = pcall(native.onnx, file)
  if fine then return made, why end
  return nil, tostring(made):match "m%.nn%.onnx: (.*)" or tostring(made)
end

--- The layers of a dense net in an ONNX file beside the recipe, with its weights: a model, or a part of one.
---@param file string
---@param options? moonshelf.LayerOptions
---@return moonshelf.Model
function nn.onnx(file, options)
  local where = words.where("m.nn.onnx")
  local fields = words.options(where, "m.nn.onnx", options, EVERY_LAYER)
  local made, why = read_net(words.text(where, "m.nn.onnx", file))
  if not made then words.fail(where, "m.nn.onnx: %s", why) end
  fields.layers, fields.width, fields.file = words.each(made.layers, function(_, one) return one end), made.width, made.file
  return words.new("a model", where, fields)
end

---------------------------------------------------------------------------------------------------- models in closed form

--- What such a model is made of: the item at hand, and for weights between items the user's history.
local function closed(fit, options, spec)
  local name = "m.nn." .. fit
  local where = words.where(name)
  local of_history = spec.history
  local fields = words.options(where, name, options, spec)
  local one = { type = fit, input = fields.input, where = where }
  for key, value in pairs(fields) do one[key] = value end
  if of_history then one.history = fields.history end
  return words.new("a model", where, { layers = words.array { one } })
end

local ITEM = { words.text, default = "item.id" }
local PAST = { words.text, default = "history.ids" }
local neighbours = { words.integer(1, 10000), default = 100 }
local kinds = { words.strings }

--- EASE (Steck 2019): each item's score is a weighted sum of the history, with the weights that best rebuild what everybody did.
---@param options? { l2: number?, max_items: integer?, history: string? }
---@return moonshelf.Model
function nn.ease(options)
  return closed("ease", options, { input = ITEM, history = PAST, l2 = { words.number { min = 1e-6, max = 1e12 }, default = 500.0 },
    max_items = { words.integer(1, 200000) } })
end

--- Item-kNN (Sarwar et al. 2001): how well the item goes with the history, by the cosine of who did something with both.
---@param options? { neighbours: integer?, shrink: number?, history: string? }
---@return moonshelf.Model
function nn.item_knn(options)
  return closed("item_knn", options, { input = ITEM, history = PAST, neighbours = neighbours,
    shrink = { words.number { min = 0, max = 1e12 }, default = 10.0 } })
end

--- How like the history the item is, by the features that say what it is: all of them, or those named in `of`.
---@param options? { of: moonshelf.Text?, neighbours: integer?, history: string? }
---@return moonshelf.Model
function nn.content(options)
  return closed("content", options, { input = ITEM, history = PAST, neighbours = neighbours, of = kinds })
end

--- How many events the item has in the training part, of these kinds or of any.
---@param options? { of: moonshelf.Text? }
---@return moonshelf.Model
function nn.popular(options) return closed("popular", options, { input = ITEM, of = kinds }) end

--- The same, each event worth half as much after every half-life.
---@param options? { half_life: string?, of: moonshelf.Text? }
---@return moonshelf.Model
function nn.trending(options)
  local model = closed("trending", options, { input = ITEM, of = kinds, half_life = { words.duration } })
  local one = model.layers[1]
  one.half_life_us, one.half_life = one.half_life or 7 * 86400 * 1000000, nil
  return model
end

---------------------------------------------------------------------------------------------------- optimisers

local above_zero, from_zero = words.number { above = 0 }, words.number { min = 0 }
local below_one = words.number { min = 0, below = 1 }

local function a_schedule(where, what, value)
  if words.kind(value) ~= "a schedule" then
    words.expect(where, what, 'a schedule such as m.nn.schedule("cosine", { warmup = 100 })', value)
  end
  return value.plan
end

local GROUP = { params = { words.text, required = true }, lr = { from_zero }, weight_decay = { from_zero } }

local function groups(where, what, value)
  local list = words.array {}
  for i, group in ipairs(words.list(where, what, value, 'a list of groups such as { params = "embedding.*", lr = 0.01 }')) do
    list[i] = words.options(where, ("%s[%d]"):format(what, i), group, GROUP)
  end
  return list
end

-- What every optimiser takes; what is not given is not in the plan.
local COMMON = { clip_norm = { above_zero }, clip_value = { above_zero }, groups = { groups } }

local function spec(own, scheduled)
  local out = {}
  for name, rule in pairs(COMMON) do out[name] = rule end
  if scheduled then out.schedule = { a_schedule } end
  for name, rule in pairs(own) do out[name] = rule end
  return out
end

local function optimizer(name, options, rules)
  local where = words.where("m.nn." .. name)
  local o = words.options(where, "m.nn." .. name, options, rules)
  if o.nesterov and o.momentum == 0 then words.fail(where, "m.nn.%s: nesterov needs a momentum above 0", name) end
  o.type = name
  return words.new("an optimizer", where, o)
end

local SGD = spec({
  lr = { from_zero, default = 0.01 }, momentum = { below_one, default = 0.0 }, nesterov = { words.boolean, default = false },
  weight_decay = { from_zero },
}, true)

--- Stochastic gradient descent, with momentum (Polyak 1964) and Nesterov's step ahead.
---@param options? moonshelf.OptimizerOptions | { momentum: number?, nesterov: boolean? }
---@return moonshelf.Optimizer
function nn.sgd(options) return optimizer("sgd", options, SGD) end

local function adam_rules(decay)
  return spec({
    lr = { above_zero, default = 0.001 }, beta1 = { below_one, default = 0.9 }, beta2 = { below_one, default = 0.999 },
    epsilon = { above_zero, default = 1e-7 }, weight_decay = { from_zero, default = decay },
  }, true)
end
local ADAM, ADAMW = adam_rules(nil), adam_rules(0.01)

--- Adam (Kingma & Ba 2015).
---@param options? moonshelf.OptimizerOptions | { beta1: number?, beta2: number?, epsilon: number? }
---@return moonshelf.Optimizer
function nn.adam(options) return optimizer("adam", options, ADAM) end

--- Adam with weight decay beside the gradient (Loshchilov & Hutter 2019).
---@param options? moonshelf.OptimizerOptions | { beta1: number?, beta2: number?, epsilon: number? }
---@return moonshelf.Optimizer
function nn.adamw(options) return optimizer("adamw", options, ADAMW) end

local ADAGRAD = spec({
  lr = { above_zero, default = 0.01 }, epsilon = { above_zero, default = 1e-7 }, initial = { from_zero, default = 0.1 },
  weight_decay = { from_zero },
}, true)

--- AdaGrad (Duchi, Hazan & Singer 2011).
---@param options? moonshelf.OptimizerOptions | { epsilon: number?, initial: number? }
---@return moonshelf.Optimizer
function nn.adagrad(options) return optimizer("adagrad", options, ADAGRAD) end

local FTRL = spec({
  lr = { above_zero, default = 0.1 }, beta = { from_zero, default = 1.0 }, l1 = { from_zero, default = 0.0 },
  l2 = { from_zero, default = 0.0 }, initial = { from_zero, default = 0.1 },
}, false)

--- FTRL-Proximal (McMahan et al. 2013): l1 makes weights exactly 0.
---@param options? moonshelf.OptimizerOptions | { beta: number?, l1: number?, l2: number?, initial: number? }
---@return moonshelf.Optimizer
function nn.ftrl(options) return optimizer("ftrl", options, FTRL) end

---------------------------------------------------------------------------------------------------- schedules

local warmup = { words.integer(0) }
local DOWN = { warmup = warmup, steps = { words.integer(1) }, floor = { words.number { min = 0, max = 1 } } }
local BY_FACTOR = { warmup = warmup, factor = { above_zero, default = 0.5 }, every = { words.integer(1), default = 1000 } }
local SCHEDULES = { constant = { warmup = warmup }, linear = DOWN, cosine = DOWN, step = BY_FACTOR, exponential = BY_FACTOR }

--- How the learning rate goes, step by step.
---@param kind "constant"|"linear"|"cosine"|"step"|"exponential"
---@param options? { warmup: integer?, steps: integer?, floor: number?, factor: number?, every: integer? }
---@return moonshelf.Schedule
function nn.schedule(kind, options)
  local where = words.where("m.nn.schedule")
  words.one_of(words.keys(SCHEDULES))(where, "m.nn.schedule", kind)
  local plan = words.options(where, ("m.nn.schedule %q"):format(kind), options, SCHEDULES[kind])
  plan.type = kind
  return words.new("a schedule", where, { plan = plan })
end

---------------------------------------------------------------------------------------------------- models in Lua

--- A trainable tensor: a copy of one, or of a shape.
---@type fun(from: moonshelf.Tensor|integer[], options?: moonshelf.ParamOptions): moonshelf.Param
nn.param = native.param

--- An optimiser over parameters: opt:step() moves them by their gradients.
---@type fun(spec: moonshelf.Optimizer, params: moonshelf.Param[], steps?: integer): moonshelf.Stepper
nn.make_optimizer = native.make_optimizer

--- A net that can be called, trained and saved.
---@param model moonshelf.Model|moonshelf.Layer
---@param options moonshelf.BuildOptions
---@return moonshelf.Net
function nn.build(model, options)
  local where = words.where("m.nn.build")
  local kind = words.kind(model)
  if kind ~= "a layer" and kind ~= "a model" then
    words.expect(where, "m.nn.build", "given a model such as m.nn.sequential { ... }", model)
  end
  return (native.build(plain(model), options))
end

return words.module("m.nn", nn)
