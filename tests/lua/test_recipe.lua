-- m.recipe: the plan as a whole, and what the parts demand of each other.
local t = require "harness"
local m = require "moonshelf"

t.test("a plan holds every part under its name", function()
  local plan = t.plan(t.recipe { preprocess = { m.drop_missing "user" }, evaluate = { "auc" } })
  t.has(plan, { name = "small", version = 1, evaluate = { "auc" } })
  t.equal(plan.sources.items.file, "items.csv")
  t.equal(#plan.preprocess, 1)
  t.equal(#plan.features, 3)
  t.equal(#plan.model.layers, 2)
  t.equal(plan.label.positive, { "purchase" })
  assert(plan.where:match("^test_recipe%.lua:%d+$") or plan.where:match("harness%.lua:%d+$"))
end)

t.test("what is left out has the defaults", function()
  local plan = t.plan(t.recipe { items = false, features = { m.id "item" } })
  t.equal(plan.sources.items, nil)
  t.equal(plan.preprocess, {})
  t.equal(plan.evaluate, { "accuracy", "auc", "logloss", "recall@20", "ndcg@20", "coverage" })
  t.equal(plan.train, {
    loss = "bce", epochs = 10, batch = 32, seed = 42, patience = 0, split = { by = "time", parts = { 0.8, 0.1, 0.1 } },
    optimizer = { type = "adam", lr = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7 },
  })
end)

t.test("training takes its options, and validation is a split by time", function()
  local function train(options) return t.plan(t.recipe { train = options }).train end
  t.has(train { epochs = 1, batch = 7, seed = 0, patience = 3, loss = "mse" }, { epochs = 1, batch = 7, seed = 0, patience = 3, loss = "mse" })
  t.equal(train { validation = 0.25 }.split, { by = "time", parts = { 0.75, 0.25, 0 } })
  t.equal(train { split = m.split.random { 0.5, 0.5 } }.split, { by = "random", parts = { 0.5, 0.5, 0 } })
end)

-- Each: what is changed in the small recipe, and what the error has to hold. The place is checked to be a line of this file.
local function refused(changes, ...)
  local fine, message = pcall(t.recipe, changes)
  assert(not fine, "no error")
  assert(message:find("^[%w_./-]+%.lua:%d+: "), message)
  for _, text in ipairs { ... } do assert(message:find(text, 1, true), ("the error must hold '%s' and is\n%s"):format(text, message)) end
end

t.test("options are named when they are missing, unknown or of the wrong kind", function()
  refused({ events = false }, 'm.recipe "small"', "'events' is missing")
  refused({ label = false }, "'label' is missing")
  refused({ features = false }, "'features' is missing")
  refused({ model = false }, "'model' is missing")
  refused({ evnts = 1 }, "unknown option 'evnts'; did you mean 'events'?")
  refused({ events = "events.csv" }, "events must be a table (m.csv", 'got the string "events.csv"')
  refused({ events = m.csv "events.csv" }, 'got m.csv "events.csv" without its columns')
  refused({ items = m.id "user" }, "items must be a table", "got a feature")
  refused({ preprocess = { m.id "user" } }, "preprocess[1] must be a rule such as", "got a feature")
  refused({ preprocess = m.drop_missing "user" }, "preprocess must be a list of words", "got a rule")
  refused({ features = {} }, "features must not be empty")
  refused({ features = { "user" } }, "features[1] must be a feature such as m.id")
  refused({ label = { column = "rating" } }, "label must be a label", "got a table")
  refused({ model = { m.nn.dense(1) } }, "model must be a model")
end)

t.test("training options say what is wrong with them", function()
  refused({ train = { epoch = 3 } }, "train: unknown option 'epoch'; did you mean 'epochs'?")
  refused({ train = { epochs = 0 } }, "train: epochs must be a whole number from 1 to 512, got 0")
  refused({ train = { batch = 1.5 } }, "batch must be")
  refused({ train = { loss = "bec" } }, "train: loss", "did you mean 'bce'?")
  refused({ train = { seed = -1 } }, "seed must be a whole number, 0 or more")
  refused({ train = { optimizer = "adam" } }, "optimizer must be an optimizer (m.nn.adam")
  refused({ train = { split = { 0.8, 0.2 } } }, "split must be a split (m.split.by_time")
  refused({ train = { validation = 1 } }, "validation must be a number above 0 and below 1")
  refused({ train = { validation = 0.1, split = m.split.random { 0.5, 0.5 } } }, "give split or validation, not both")
  refused({ train = 5 }, "train must be given a table of options, got 5")
end)

t.test("metrics are names, some with a k from 1 to 1000", function()
  for k, fine in pairs { [1] = true, [20] = true, [1000] = true, [0] = false, [1001] = false } do
    for _, name in ipairs { "recall", "ndcg" } do
      t.equal(pcall(t.recipe, { evaluate = { name .. "@" .. k } }), fine, name .. "@" .. k)
    end
  end
  refused({ evaluate = { "auc", "recal@20" } }, 'evaluate[2]: there is no "recal@20"', "did you mean 'recall@20'?")
  refused({ evaluate = { "auc@3" } }, 'there is no "auc@3"')
  refused({ evaluate = { "recall@" } }, 'there is no "recall@"')
  refused({ evaluate = { "recall@-1" } }, 'there is no "recall@-1"')
  refused({ evaluate = { "auc", "auc" } }, "names 'auc' twice")
  refused({ evaluate = {} }, "must not be empty")
end)

t.test("columns that events and items lack are named at the word that wants them", function()
  local line = debug.getinfo(1, "l").currentline + 1
  local rule = m.drop_missing { "user", "tme" }
  refused({ preprocess = { rule } }, ("test_recipe.lua:%d: m.drop_missing: the events have no column 'tme'; did you mean 'time'?"):format(line))
  refused({ preprocess = { m.dedupe "rtaing" } }, "test_recipe.lua:", "did you mean 'rating'?")
  refused({ features = { m.log "prise" } }, "test_recipe.lua:", "m.log: the items have no column 'prise'; did you mean 'price'?")
  refused({ features = { m.category "brand" } }, "the items have no column 'brand'")
  refused({ label = m.label { column = "stars", at_least = 3 } }, "m.label: the events have no column 'stars'")
  refused({ events = m.csv "e.csv" { user = "u", item = "i" } }, "test_recipe.lua:", "the events need user, item and time; they have no column 'time'")
  refused({ items = m.csv "i.csv" { price = "p" } }, "the items need the id; they have no column 'item'")
  refused({ items = false }, 'm.log "price" reads the items, but the recipe has no items')
end)

t.test("a map makes a column for the rules and the label after it", function()
  local stars = m.map "stars" (function() return 1 end)
  local plan = t.plan(t.recipe { preprocess = { stars, m.dedupe "stars" }, label = m.label { column = "stars", at_least = 1 } })
  t.equal(plan.label.column, "stars")
  refused({ preprocess = { m.dedupe "stars", stars } }, "no column 'stars'")
  local bare = m.csv "e.csv" { user = "u", item = "i", time = "t" }
  assert(t.recipe { events = bare, preprocess = { m.map "event" (function() return "view" end) } })
end)

t.test("kinds of events want a column of kinds", function()
  local bare = m.csv "e.csv" { user = "u", item = "i", time = "t", rating = "r:number" }
  local label = m.label { column = "rating", at_least = 4 }
  refused({ events = bare }, "m.label: positive and of are kinds of events, but the events have no column 'event'")
  refused({ events = bare, label = label, features = { m.count("item", "view") } }, "m.count: there is no kind 'view'", "no column 'event'")
  refused({ events = bare, label = label, features = { m.rate("item", "any", "view") } }, "m.rate: there is no kind 'view'")
  refused({ events = bare, label = label, features = { m.id "item", m.history("item", { of = "view" }) } }, "m.history: there is no kind 'view'")
  assert(t.recipe { events = bare, label = label, features = { m.count("item", "any"), m.count("user", "event"), m.rate("item", "any", "event") } })
end)

t.test("features are there once, and history shares the items' embedding", function()
  refused({ features = { m.id "user", m.id "user" { dim = 4 } } }, "the feature id 'user' is there twice (the first at test_recipe.lua:")
  refused({ features = { m.count("item", "view", "1h"), m.count("item", "view", "1h") } }, "count(item,view)", "twice")
  assert(t.recipe { features = { m.count("item", "view", "1h"), m.count("item", "view", "2h"), m.count("item", "any", "1h") } })
  assert(t.recipe { features = { m.rate("item", "a", "b"), m.rate("item", "a", "b", { over = "1d" }) } })
  refused({ features = { m.id "user", m.history "item" } }, 'm.history shares the embeddings of m.id "item": add that feature')
  assert(t.recipe { features = { m.history "item", m.id "item" } })
end)

t.test("the loss fits the last layer", function()
  local linear = m.nn.sequential { m.nn.dense(1) }
  refused({ model = linear }, 'loss "bce"', 'needs "sigmoid" in the last layer, got "linear"')
  assert(t.recipe { model = linear, train = { loss = "mse" } })
end)

t.test("a recipe's name is a file's name", function()
  for _, name in ipairs { "shop", "my_shop-2.0", "A" } do assert(m.recipe(name)) end
  t.fails(function() m.recipe() end, "m.recipe must be a string, got nothing")
  t.fails(function() m.recipe "my shop" end, "m.recipe: a name is made of letters", 'got "my shop"')
  t.fails(function() m.recipe "../shop" end, "a name is made of letters")
  t.fails(function() m.recipe "shop" (5) end, 'm.recipe "shop" must be given a table of options, got 5')
end)

t.test("the same words in another order of options make the same plan", function()
  local one = m.plan(t.recipe { train = { epochs = 3, seed = 9 }, evaluate = { "auc" } })
  local two = m.plan(t.recipe { evaluate = { "auc" }, train = { seed = 9, epochs = 3 } })
  t.equal((one:gsub("%.lua:%d+", "")), (two:gsub("%.lua:%d+", "")))
end)

t.done()
