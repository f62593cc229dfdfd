-- Several tasks: labels by name, heads by name, and what of both has to agree.
local t = require "harness"
local m = require "moonshelf"

local function sigmoid() return m.nn.dense(1, "sigmoid") end
local function label(positive, more)
  local options = { positive = positive, of = "view", within = "24h" }
  for key, value in pairs(more or {}) do options[key] = value end
  return (m.label(options))
end

--- A recipe of two tasks with some of its options changed; false takes one away.
local function recipe(changes)
  local options = {
    label = { purchase = false, cart = label "cart" },
    model = m.nn.sequential { m.nn.dense(4, "relu"), m.nn.heads { cart = sigmoid(), purchase = sigmoid() } },
  }
  options.label.purchase = label "purchase" -- made last
  for key, value in pairs(changes or {}) do options[key] = value or nil end
  return (t.recipe(options))
end
local function plan(changes) return t.plan(recipe(changes)) end

--- The error of a recipe begins with a line of these files, and holds the texts.
local function refused_by(make, changes, ...)
  local fine, message = pcall(make, changes)
  assert(not fine, "no error")
  assert(message:find("^[%w_./-]+%.lua:%d+: "), message)
  for _, text in ipairs { ... } do assert(message:find(text, 1, true), ("the error must hold '%s' and is\n%s"):format(text, message)) end
end
local function refused(...) refused_by(recipe, ...) end

local function names(list)
  local out = {}
  for i, one in ipairs(list) do out[i] = one.task end
  return out
end

t.test("labels stand in the order in which they were made, but the judged one first", function()
  local made = plan {}
  t.equal(names(made.label), { "purchase", "cart" })
  t.has(made.label[2], { positive = { "cart" }, of = { "view" }, within_us = 86400000000, negatives = 0 })
  t.equal(made.model.score, { purchase = 1 })
  t.equal(names(plan({ score = "cart" }).label), { "cart", "purchase" })
  t.equal(plan({ score = "cart" }).model.score, { cart = 1 })
  t.equal(names(plan({ score = { cart = 0.3, purchase = 1 } }).label), { "purchase", "cart" })
  t.equal(plan({ score = { cart = 0.3, purchase = 1 } }).model.score, { cart = 0.3, purchase = 1 })
  local three = plan {
    label = { zoo = label "a", ape = label "b", mid = label "c" }, model = m.nn.sequential { m.nn.heads { zoo = sigmoid(), ape = sigmoid(), mid = sigmoid() } },
  }
  t.equal(names(three.label), { "mid", "zoo", "ape" })
end)

t.test("a label alone leaves the plan as it was", function()
  local alone = t.plan(t.recipe())
  t.equal(alone.label.positive, { "purchase" })
  t.equal(alone.label.task, nil)
  t.equal(alone.model.score, nil)
end)

t.test("a label may serve several recipes and tasks", function()
  local shared = label "cart"
  t.equal(names(plan({ label = { cart = shared, purchase = shared } }).label), { "purchase", "cart" })
  t.equal(t.plan(t.recipe { label = shared }).label.task, nil)
end)

t.test("heads stand behind those that multiply them", function()
  local heads = m.nn.heads { a = sigmoid(), b = sigmoid(), c = sigmoid(), times = { a = "c", c = "b" } }
  t.equal(heads.names, { "b", "c", "a" })
  t.equal(heads.times, { a = "c", c = "b" })
  t.equal(#heads.layers, 3)
  t.equal(m.nn.heads({ a = m.nn.sequential { sigmoid() }, input = "numbers" }).input, "numbers")
end)

t.test("weights and metrics of tasks stand in the plan", function()
  local made = plan { train = { weights = { cart = 2 } }, evaluate = { "auc", "cart.auc", "purchase.logloss", "recall@5" } }
  t.equal(made.train.weights, { cart = 2 })
  t.equal(made.evaluate, { "auc", "cart.auc", "purchase.logloss", "recall@5" })
  t.equal(plan({}).train.weights, nil)
end)

t.test("a name that is no task is told of with the nearest", function()
  refused({ score = "purchas" }, "score: there is no task 'purchas'; did you mean 'purchase'?")
  refused({ score = { cart = 1, purchas = 1 } }, "score: there is no task 'purchas'; did you mean 'purchase'?")
  refused({ train = { weights = { carts = 1 } } }, "train: weights: there is no task 'carts'; did you mean 'cart'?")
  refused({ evaluate = { "carts.auc" } }, "evaluate: there is no task 'carts'; did you mean 'cart'?")
  refused({ evaluate = { "cart.acu" } }, "evaluate[1]: cart.acu", "did you mean 'auc'?")
  refused({ evaluate = { "cart.recall@5" } }, "evaluate[1]: cart.recall@5", 'there is no "recall@5"')
  refused_by(t.recipe, { evaluate = { "cart.auc" } }, "there is no task 'cart': the recipe has one label, without a name")
  refused_by(t.recipe, { score = "cart" }, "there is no task 'cart'")
  refused_by(t.recipe, { train = { weights = { cart = 1 } } }, "there is no task 'cart'")
end)

t.test("heads and labels belong together", function()
  refused({ model = m.nn.sequential { m.nn.heads { carts = sigmoid(), purchase = sigmoid() } } },
    "m.label: the model has no head 'cart'; did you mean 'carts'?")
  refused({ model = m.nn.sequential { m.nn.heads { cart = sigmoid(), purchase = sigmoid(), view = sigmoid() } } }, "m.nn.heads: the head 'view' has no label")
  refused({ model = m.nn.sequential { sigmoid() } }, "the labels are of cart, purchase: the model must end with m.nn.heads { cart = ... }")
  refused({ label = label "purchase" }, "m.nn.heads: the recipe has one label, without a name: give label = { cart = m.label { ... } }")
end)

t.test("each head ends as the loss wants it", function()
  local function heads(...)
    local a, b = ...
    return m.nn.sequential { m.nn.heads { cart = a, purchase = m.nn.sequential { m.nn.dense(3), b } } }
  end
  refused({ model = heads(sigmoid(), m.nn.dense(1)) }, 'loss "bce"', 'needs "sigmoid" in the last layer, got "linear"')
  refused({ model = heads(m.nn.dense(2, "sigmoid"), sigmoid()) }, "the last layer must have 1 unit (the probability), got 2")
  t.equal(plan({ model = heads(m.nn.dense(1), m.nn.dense(1)), train = { loss = "mse" } }).train.loss, "mse")
  refused({ model = heads(m.nn.dense(1), m.nn.dense(1)), train = { loss = "softmax" } }, 'the loss "softmax" compares scores of one task')
end)

t.test("tasks have the same examples", function()
  refused({ label = { cart = label("cart", { of = { "view", "search" } }), purchase = label "purchase" } }, "m.label: purchase has other examples",
    "(of = view) than cart (of = view, search)")
  refused({ label = { cart = m.label { column = "rating", at_least = 4 }, purchase = label "purchase" } }, "purchase has other examples",
    "than cart (what has a rating)")
  t.equal(#plan({ label = { cart = label("cart", { of = { "a", "b" } }), purchase = label("purchase", { of = { "b", "a" } }) } }).label, 2)
  t.equal(#plan({ label = { cart = m.label { column = "rating", at_least = 3 }, purchase = m.label { column = "rating", at_least = 4 } } }).label, 2)
end)

t.test("negatives are those of the judged label", function()
  t.equal(plan({ label = { cart = label "cart", purchase = label("purchase", { negatives = 3 }) } }).label[1].negatives, 3)
  refused({ label = { cart = label("cart", { negatives = 3 }), purchase = label "purchase" } }, "negatives are drawn for all tasks alike",
    "give them with purchase")
end)

t.test("names and numbers are checked", function()
  refused({ label = { ["my cart"] = label "cart" } }, "a task's name is made of letters, digits and '_'", 'got the string "my cart"')
  refused({ label = { label "cart", label "purchase" } }, "a task's name is made of letters", "got 1")
  refused({ label = { times = label "cart" } }, "'times' is no name for a task")
  refused({ label = { cart = label "cart", purchase = 3 } }, "label: purchase must be a label", "got 3")
  refused({ label = {} }, "label must be a label", "got a table")
  refused({ train = { weights = { cart = "1" } } }, "weights: cart must be a number at least 0, got the string")
  refused({ train = { weights = { cart = -1 } } }, "weights: cart must be a number at least 0, got -1")
  refused({ train = { weights = { cart = 0 } } }, "one of them has to be other than 0")
  refused({ train = { weights = 3 } }, "weights must be numbers by the names of tasks", "got 3")
  refused({ score = { cart = 0 / 0 } }, "score: cart must be a number")
  refused({ score = 3 }, 'score must be a task such as "purchase", or weights')
  refused({ score = {} }, 'score must be a task such as "purchase", or weights')
end)

t.test("m.nn.heads says what is wrong with it", function()
  t.fails(function() m.nn.heads { sigmoid(), sigmoid() } end, "m.nn.heads must be given heads by the names of their tasks")
  t.fails(function() m.nn.heads {} end, "it has no heads")
  t.fails(function() m.nn.heads(sigmoid()) end, "must be given heads", "got a layer")
  t.fails(function() m.nn.heads { cart = 3 } end, "m.nn.heads: cart must be a layer such as m.nn.dense(1, \"sigmoid\"), got 3")
  t.fails(function() m.nn.heads { a = sigmoid(), b = sigmoid(), times = { a = "b", b = "a" } } end, "times goes round in a circle")
  t.fails(function() m.nn.heads { a = sigmoid(), times = { a = "a" } } end, "times goes round in a circle")
  t.fails(function() m.nn.heads { cart = sigmoid(), times = { cart = "crat" } } end, "did you mean 'cart'?")
  t.fails(function() m.nn.heads { cart = sigmoid(), times = { crat = "cart" } } end, "did you mean 'cart'?")
  t.fails(function() m.nn.heads { cart = sigmoid(), times = "cart" } end, 'times must be { purchase = "cart" }')
end)

t.done()
