--- nn.lua - m.nn: models as stacks of layers, and the optimisers that train them.

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

local beta = words.number { min = 0, below = 1 }
local ADAM = {
  lr = { words.number { above = 0 }, default = 0.001 },
  beta1 = { beta, default = 0.9 },
  beta2 = { beta, default = 0.999 },
  epsilon = { words.number { above = 0 }, default = 1e-7 },
}

--- Adam (Kingma & Ba 2015).
---@param options? { lr: number?, beta1: number?, beta2: number?, epsilon: number? }
---@return moonshelf.Optimizer
function nn.adam(options)
  local where = words.where("m.nn.adam")
  local o = words.options(where, "m.nn.adam", options, ADAM)
  return words.new("an optimizer", where,
    { type = "adam", lr = o.lr, beta1 = o.beta1, beta2 = o.beta2, epsilon = o.epsilon })
end

return words.module("m.nn", nn)
