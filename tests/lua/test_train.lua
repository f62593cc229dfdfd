-- Training: optimisers and their groups, schedules, and the options of train = { ... }.
local t = require "harness"
local m = require "moonshelf"

local function train(options) return t.plan(t.recipe { train = options }).train end
local parts = {
  events = m.csv "events.csv" { user = "u", item = "i", event = "e", time = "t" },
  label = m.label { positive = "purchase", of = "view", within = "24h" }, features = { m.id "item" },
  model = m.nn.sequential { m.nn.dense(1, "sigmoid") },
}
local function refused(options, ...)
  parts.train = options
  t.fails(function() m.recipe "small" (parts) end, ...)
end
local function optimizer(word) return train({ optimizer = word }).optimizer end

t.test("each optimiser has its paper's defaults", function()
  t.equal(optimizer(m.nn.sgd()), { type = "sgd", lr = 0.01, momentum = 0, nesterov = false })
  t.equal(optimizer(m.nn.adamw()), { type = "adamw", lr = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7, weight_decay = 0.01 })
  t.equal(optimizer(m.nn.adagrad()), { type = "adagrad", lr = 0.01, epsilon = 1e-7, initial = 0.1 })
  t.equal(optimizer(m.nn.ftrl()), { type = "ftrl", lr = 0.1, beta = 1, l1 = 0, l2 = 0, initial = 0.1 })
end)

t.test("groups, clipping and a schedule stand in the plan", function()
  local got = optimizer(m.nn.adam {
    clip_norm = 1, clip_value = 0.5, weight_decay = 0.1, schedule = m.nn.schedule("cosine", { warmup = 100, floor = 0.01 }),
    groups = { { params = "embedding.*", lr = 0.01 }, { params = "*.bias", weight_decay = 0 } },
  })
  t.has(got, { clip_norm = 1, clip_value = 0.5, weight_decay = 0.1 })
  t.equal(got.schedule, { type = "cosine", warmup = 100, floor = 0.01 })
  t.equal(got.groups, { { params = "embedding.*", lr = 0.01 }, { params = "*.bias", weight_decay = 0 } })
  t.equal(optimizer(m.nn.sgd { schedule = m.nn.schedule "step" }).schedule, { type = "step", factor = 0.5, every = 1000 })
end)

t.test("losses that compare want scores, and bpr what was not chosen", function()
  local dot = m.nn.sequential { m.nn.dot { m.nn.input "user", m.nn.input "item" } }
  local given = {
    events = parts.events, features = { m.id "user", m.id "item" }, model = dot, train = { loss = "bpr" },
    label = m.label { positive = "purchase", of = "view", within = "24h", negatives = { 4, unseen = true } },
  }
  local plan = t.plan(m.recipe "pairs" (given))
  t.equal(plan.train.loss, "bpr")
  t.equal(plan.label.sampling, { by = "uniform", unseen = true })
  t.equal(plan.model.layers[1].type, "dot")
  local function without() given.label = m.label { positive = "purchase", of = "view", within = "24h" } m.recipe "pairs" (given) end
  local here = debug.getinfo(1, "l").currentline - 1
  local ok, message = pcall(without)
  t.equal(ok, false)
  t.equal(message:find(('test_train.lua:%d: m.label: loss "bpr"'):format(here), 1, true), 1)
  t.equal(message:find("give negatives = 4", 1, true) ~= nil, true)
  given.train = { loss = "softmax" } -- over every item
  t.equal(t.plan(m.recipe "all" (given)).train.loss, "softmax")
  t.fails(function() given.model = m.nn.sequential { m.nn.dense(1, "sigmoid") } m.recipe "all" (given) end, 'loss "softmax"',
    'the last layer must be "linear", got "sigmoid"')
  refused({ loss = "bpr", positive_weight = 2 }, 'positive_weight is for the loss "bce"')
  t.fails(function() m.nn.dot { m.nn.input "user" } end, "takes two layers", "got 1")
end)

t.test("optimisers and schedules say what is wrong with them", function()
  t.fails(function() m.nn.sgd { nesterov = true } end, "nesterov needs a momentum above 0")
  t.fails(function() m.nn.sgd { momentum = 1 } end, "momentum must be a number at least 0 and below 1, got 1")
  t.fails(function() m.nn.ftrl { schedule = m.nn.schedule "cosine" } end, "unknown option 'schedule'")
  t.fails(function() m.nn.adam { schedule = "cosine" } end, 'a schedule such as m.nn.schedule("cosine"', 'got the string "cosine"')
  t.fails(function() m.nn.adam { groups = { { lr = 1 } } } end, "groups[1]: 'params' is missing")
  t.fails(function() m.nn.adam { groups = { { params = "x", decay = 1 } } } end, "groups[1]: unknown option 'decay'")
  t.fails(function() m.nn.adam { clip_norm = 0 } end, "clip_norm must be a number above 0")
  t.fails(function() m.nn.schedule("cosin") end, "did you mean 'cosine'?")
  t.fails(function() m.nn.schedule("step", { floor = 1 }) end, "unknown option 'floor'")
  t.fails(function() m.nn.schedule("linear", { floor = 2 }) end, "floor must be a number at least 0 and at most 1")
end)

t.test("options that only sometimes are there are left out of the plan", function()
  t.has(train { positive_weight = 3, threads = 2, ahead = 0, checkpoint = 500 },
    { positive_weight = 3, threads = 2, ahead = 0, checkpoint = 500 })
  t.has(train { precision = "int8" }, { precision = "int8" })
  t.equal(train({}).precision, nil)
  refused({ precision = "int7" }, "precision", "did you mean 'int8'?")
  refused({ positive_weight = 2, loss = "mse" }, 'positive_weight is for the loss "bce"')
  refused({ threads = 0 }, "threads must be a whole number from 1 to 64, got 0")
  refused({ weight = "wieght" }, "train: weight: the events have no column 'wieght'")
end)

t.test("sequences are true or options, and for the softmax", function()
  local model = m.nn.sequential { m.nn.dot { m.nn.input "user", m.nn.input "item" } }
  local function softmax(options)
    options.loss = "softmax"
    return t.plan(t.recipe { model = model, train = options }).train
  end
  t.equal(softmax({ sequences = true }).sequences, {})
  t.equal(softmax({ sequences = false }).sequences, nil)
  t.equal(train({}).sequences, nil)
  local all = { stride = 5, mask = 0.2, negatives = 100, power = 0.75 }
  t.equal(softmax({ sequences = all }).sequences, all)
  t.equal(softmax({ log_q = true }).log_q, true)
  refused({ sequences = true }, 'sequences are for the loss "softmax"')
  refused({ log_q = true }, 'log_q is for the loss "softmax"')
  refused({ loss = "softmax", sequences = { stride = 0 } }, "stride must be a whole number")
  refused({ loss = "softmax", sequences = { mask = 1 } }, "mask must be a number above 0 and below 1")
  refused({ loss = "softmax", sequences = { length = 5 } }, "unknown option 'length'")
  refused({ loss = "softmax", sequences = { power = 1 } }, "power is of the popularity by which negatives = N are drawn")
end)

t.test("functions that watch become numbers", function()
  local got = train { on_epoch = function() end, on_step = { every = 100, function() end } }
  t.equal(got.on_epoch, 1)
  t.equal(got.on_step, { fn = 2, every = 100 })
  t.equal(train { on_step = { function() end } }.on_step, { fn = 1, every = 1 })
  refused({ on_epoch = 3 }, "on_epoch must be a function, got 3")
  refused({ on_step = { every = 2 } }, "on_step must be { every = 100, function(info) ... end }")
  refused({ on_step = { evry = 2, function() end } }, "unknown option 'evry'", "did you mean 'every'?")
  refused({ on_step = { every = 0, function() end } }, "every must be a whole number, 1 or more, got 0")
end)

---------------------------------------------------------------------------------------------------- models in closed form

local past = m.history("item", { last = 1000 })

--- The plan of a recipe with such a model.
local function closed(model, more)
  local given = { events = parts.events, label = parts.label, features = { m.id "item", past }, model = model }
  for key, value in pairs(more or {}) do given[key] = value end
  return t.plan(m.recipe "closed" (given))
end
--- The words stand on the line of the test, and the recipe above.
local function no_model(model, more, ...)
  local fine, message = pcall(closed, model, more)
  t.equal(fine, false)
  t.equal(message:match "^test_train%.lua:%d+: " ~= nil, true)
  for _, text in ipairs { ... } do
    if not message:find(text, 1, true) then error(("the error must hold '%s' and is %s"):format(text, message), 2) end
  end
end

t.test("a model in closed form is a layer with its defaults, and trains by no option", function()
  local function layer(model, more) return closed(model, more).model.layers[1] end
  t.has(layer(m.nn.ease()), { type = "ease", l2 = 500, input = "item.id", history = "history.ids" })
  t.has(layer(m.nn.item_knn { neighbours = 20, shrink = 0 }), { type = "item_knn", neighbours = 20, shrink = 0, history = "history.ids" })
  t.has(layer(m.nn.popular { of = "purchase" }), { type = "popular", of = { "purchase" }, input = "item.id" })
  t.has(layer(m.nn.trending()), { type = "trending", half_life_us = 7 * 86400 * 1000000 })
  t.has(layer(m.nn.trending { half_life = "36h" }), { half_life_us = 36 * 3600 * 1000000 })
  t.equal(layer(m.nn.trending { half_life = "36h" }).half_life, nil)
  t.equal(layer(m.nn.sequential { m.nn.ease() }).type, "sequential")
  local plan = closed(m.nn.ease(), { train = { split = m.split.ratio { 0.8, 0.1, 0.1 }, seed = 7 } })
  t.equal(plan.train, { seed = 7, split = { by = "ratio", parts = { 0.8, 0.1, 0.1 } } })
end)

t.test("options of training that make no sense in closed form are errors at their line", function()
  local sense = "is for models that are trained; m.nn.ease is computed at once and needs split alone"
  no_model(m.nn.ease(), { train = { loss = "bpr" } }, "train: loss " .. sense)
  no_model(m.nn.ease(), { train = { optimizer = m.nn.adam() } }, "train: optimizer " .. sense)
  no_model(m.nn.sequential { m.nn.sequential { m.nn.ease() } }, { train = { epochs = 3 } }, "train: epochs " .. sense)
  no_model(m.nn.ease(), { label = m.label { positive = "purchase", of = "view", within = "24h", negatives = 4 } },
    "m.label: negatives are for models that are trained")
end)

t.test("a model in closed form says what is wrong with it", function()
  no_model(m.nn.ease(), { features = { m.id "item" } }, "m.nn.ease: the features give no input 'history.ids'")
  no_model(m.nn.popular(), { features = { m.id "user" } }, "m.nn.popular: the features give no input 'item.id'")
  t.fails(function() m.nn.ease { l2 = 0 } end, "m.nn.ease: l2 must be a number")
  t.fails(function() m.nn.ease { lambda = 1 } end, "m.nn.ease: unknown option 'lambda'")
  t.fails(function() m.nn.item_knn { neighbours = 0 } end, "neighbours must be a whole number from 1 to 10000, got 0")
  t.fails(function() m.nn.trending { half_life = 7 } end, 'half_life must be a duration such as')
  t.fails(function() m.nn.eas() end, "did you mean 'm.nn.ease'?")
  local tagged = { items = m.csv "items.csv" { item = "i", genres = "g" }, features = { m.id "item", past, m.tags "genres" } }
  no_model(m.nn.content { of = "genre" }, tagged,
    "m.nn.content: there is no feature 'genre'", "did you mean 'genres'?")
end)

t.done()
