--- nn.lua - m.nn: models as stacks of layers, the optimisers that train them, and how the learning rate goes.

local words = require "moonshelf.words"

local nn = {}

local ACTIVATIONS = { "linear", "relu", "sigmoid", "tanh" }

--- A dense layer.
---@param units integer
---@param activation? "linear"|"relu"|"sigmoid"|"tanh"
---@return moonshelf.Layer
function nn.dense(units, activation)
  local where = words.where("m.nn.dense")
  units = words.integer(1, 65536)(where, "m.nn.dense: units", units)
  if activation == nil then activation = "linear" end
  words.one_of(ACTIVATIONS)(where, "m.nn.dense: activation", activation)
  return words.new("a layer", where, { type = "dense", units = units, activation = activation })
end

--- Layers one after the other; the last has one unit.
---@param layers moonshelf.Layer[]
---@return moonshelf.Model
function nn.sequential(layers)
  local where = words.where("m.nn.sequential")
  words.list(where, "m.nn.sequential", layers, "a list of layers")
  local list = words.array {}
  for i, layer in ipairs(layers) do
    if words.kind(layer) ~= "a layer" then
      words.expect(where, ("m.nn.sequential: layer %d"):format(i), "a layer such as m.nn.dense(64, \"relu\")", layer)
    end
    list[i] = { type = layer.type, units = layer.units, activation = layer.activation, where = layer.where }
  end
  local last = list[#list]
  if last.units ~= 1 then
    words.fail(last.where, "the last layer must have 1 unit (the probability), got %d", last.units)
  end
  if last.activation ~= "sigmoid" and last.activation ~= "linear" then
    words.fail(last.where, "the last layer must be \"sigmoid\" (or \"linear\" with loss \"mse\"), got %q", last.activation)
  end
  return words.new("a model", where, { layers = list })
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

return words.module("m.nn", nn)
