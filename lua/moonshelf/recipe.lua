--- recipe.lua - m.recipe: puts the words together and makes the plan that C reads.
---
--- Everything that can be known without the data is checked here, in the order in which the parts stand in the plan. The first thing
--- wrong is raised with the line of the word it is about.

local words = require "moonshelf.words"
local native = require "moonshelf.native"
local nn = require "moonshelf.nn"
local rules = require "moonshelf.rules"

local recipe = {}

---------------------------------------------------------------------------------------------------- checks of option values

local function a(kind, example)
  return function(where, what, value)
    if words.kind(value) ~= kind then words.expect(where, what, ("%s (%s)"):format(kind, example), value) end
    return value
  end
end

local function many(kind, example, may_be_empty)
  return function(where, what, value)
    if may_be_empty and type(value) == "table" and not words.kind(value) and next(value) == nil then return {} end
    for i, word in ipairs(words.list(where, what, value, ("a list of words such as %s"):format(example))) do
      if words.kind(word) ~= kind then
        words.expect(where, ("%s[%d]"):format(what, i), ("%s such as %s"):format(kind, example), word)
      end
    end
    return value
  end
end

local METRICS = { "accuracy", "auc", "logloss", "coverage", "recall@20", "ndcg@20" }
local AT_K = { recall = true, ndcg = true }

local function metrics(where, what, value)
  local list = words.strings(where, what, value)
  for i, name in ipairs(list) do
    local metric, k = name:match("^(%a+)@([1-9]%d*)$")
    if not AT_K[metric] then
      words.one_of(METRICS)(where, ("%s[%d]"):format(what, i), name)
    elseif tonumber(k) > 1000 then
      words.fail(where, "%s[%d]: %s: k must be from 1 to 1000", what, i, name)
    end
  end
  return list
end

local function default_split() return { by = "time", parts = words.array { 0.8, 0.1, 0.1 } } end

--- on_step = { every = 100, function(info) ... end }
local function on_step(where, what, value)
  local fn, options = type(value) == "table" and value[1], {}
  if type(fn) ~= "function" then words.expect(where, what, "{ every = 100, function(info) ... end }", value) end
  for key, option in pairs(value) do
    if key ~= 1 then options[key] = option end
  end
  options = words.options(where, what, options, { every = { words.integer(1), default = 1 } })
  options.fn = fn
  return options
end

local TRAIN = {
  loss = { words.one_of { "bce", "mse" }, default = "bce" },
  positive_weight = { words.number { above = 0 } },
  weight = { words.text },
  optimizer = { a("an optimizer", "m.nn.adam { lr = 1e-3 }") },
  epochs = { words.integer(1, 512), default = 10 },
  batch = { words.integer(1, 1048576), default = 32 },
  split = { a("a split", "m.split.by_time { 0.8, 0.1, 0.1 }") },
  validation = { words.number { above = 0, below = 1 } },
  seed = { words.integer(0), default = 42 },
  patience = { words.integer(0), default = 0 },
  threads = { words.integer(1, 64) },
  precision = { words.one_of { "f32", "bf16", "int8" } },
  ahead = { words.integer(0, 8) },
  checkpoint = { words.integer(1) },
  on_epoch = { words.func },
  on_step = { on_step },
}

local function train(where, what, value)
  local o = words.options(where, what, value, TRAIN)
  if o.split and o.validation then words.fail(where, "%s: give split or validation, not both", what) end
  if o.positive_weight and o.loss ~= "bce" then words.fail(where, '%s: positive_weight is for the loss "bce"', what) end
  local parts = o.split or (o.validation and { by = "time", parts = words.array { 1 - o.validation, o.validation, 0.0 } })
    or default_split()
  local optimizer = {}
  for key, option in pairs(o.optimizer or nn.adam {}) do
    if key ~= "where" then optimizer[key] = option end
  end
  o.optimizer, o.split, o.validation = optimizer, { by = parts.by, parts = parts.parts }, nil
  return o
end

--- state = { ttl = "90d" }: a user that was not seen for so long is a new one.
local function state_options(where, what, value)
  local o = words.options(where, what, value, { ttl = { words.duration } })
  return { ttl_us = o.ttl, where = where }
end

local RECIPE = {
  events = { a("a table", 'm.csv "events.csv" { ... }'), required = true },
  items = { a("a table", 'm.csv "items.csv" { ... }') },
  preprocess = { many("a rule", 'm.drop_missing { "user" }', true), default = {} },
  label = { a("a label", 'm.label { positive = "purchase", of = "view", within = "24h" }'), required = true },
  features = { many("a feature", 'm.id "user"'), required = true },
  model = { a("a model", "m.nn.sequential { ... }"), required = true },
  state = { state_options },
  train = { train },
  evaluate = { metrics, default = words.array { "accuracy", "auc", "logloss", "recall@20", "ndcg@20", "coverage" } },
}

---------------------------------------------------------------------------------------------------- checks of parts with each other

--- The columns of a table word as a set.
local function column_set(source)
  local set = {}
  for _, column in ipairs(source.columns) do set[column.name] = true end
  return set
end

local function need(where, what, set, name, owner)
  if set[name] then return end
  words.fail(where, "%s: %s no column '%s'%s", what, owner, name, words.hint(name, words.keys(set)))
end

local function check_label(label, set)
  if label.column then
    need(label.where, "m.label", set, label.column, "the events have")
  elseif not set.event then
    words.fail(label.where, "m.label: positive and of are kinds of events, but the events have no column 'event'")
  end
end

--- Without a column 'event' every event is of the kind "event".
local function check_kinds(feature)
  for _, list in ipairs { feature.kinds or {}, feature.numerator or {}, feature.denominator or {} } do
    for _, kind in ipairs(list) do
      if kind ~= "event" then
        words.fail(feature.where, "m.%s: there is no kind '%s': the events have no column 'event'", feature.op, kind)
      end
    end
  end
end

local ITEM_OPS = { relative = true, mean = true, category = true, tags = true, tfidf = true, numeric = true, age = true }

local FUNCTIONS = { column = true, formula = true }

--- The word that made the feature.
local function word_of(feature)
  local last = feature.steps and feature.steps[#feature.steps]
  if FUNCTIONS[feature.op] and not last then return "m.lua" end
  if feature.op == "tags" and not feature.separator then return "m.words" end
  return "m." .. (last and last.op or feature.op)
end

--- Everything that tells one feature from another.
local function identity(feature)
  local parts = {}
  local function walk(value, skip)
    if type(value) ~= "table" then
      parts[#parts + 1] = tostring(value)
      return
    end
    for _, key in ipairs(words.keys(value)) do
      if not (skip and skip[key]) then
        parts[#parts + 1] = tostring(key)
        walk(value[key], skip)
      end
    end
  end
  walk(feature, { where = true, dim = true, min_count = true, hash = true, prior = true })
  return table.concat(parts, "\0")
end

--- The columns of the items that a feature reads.
local function columns_of(feature)
  local out = {}
  if feature.by and feature.by ~= "item" then out[1] = feature.by end
  if ITEM_OPS[feature.op] then out[#out + 1] = feature.column end
  for _, column in ipairs(feature.columns or {}) do
    if column ~= "user" then out[#out + 1] = column end
  end
  return out
end

local function check_columns(feature, set)
  for _, column in ipairs(columns_of(feature)) do
    if not set then
      words.fail(feature.where, "%s %q reads the items, but the recipe has no items = ...", word_of(feature), column)
    end
    need(feature.where, word_of(feature), set, column, "the items have")
  end
end

--- A history shares the embeddings of a feature beside it.
local function check_history(feature, features)
  local known = {}
  if feature.of == "gap" then return end
  for _, other in ipairs(features) do
    if other.op == "id" and other.entity == "item" then known.item = true end
    if other.op == "category" or other.op == "column" then known[other.column] = true end
  end
  if known[feature.of or "item"] then return end
  if not feature.of then words.fail(feature.where, 'm.history shares the embeddings of m.id "item": add that feature') end
  words.fail(feature.where, "m.history shares the embeddings of m.category %q: add that feature%s", feature.of,
    words.hint(feature.of, words.keys(known)))
end

--- The columns of the items that functions make, each once, with its maker: a list of rules for the plan.
local function made_columns(features, items)
  local list, known = words.array {}, {}
  local set = items and column_set(items) or {}
  local function note(feature)
    if feature.op ~= "column" then return end
    local name, before = feature.column, known[feature.column]
    if not items then words.fail(feature.where, "m.lua %q reads the items, but the recipe has no items = ...", name) end
    if set[name] then words.fail(feature.where, "m.lua %q: the items have a column '%s'; choose another name", name, name) end
    if before and before.fn ~= feature.fn then
      words.fail(feature.where, "m.lua %q: another function makes '%s' (at %s)", name, name, before.where)
    end
    if before then return end
    known[name] = { op = "map", column = name, fn = feature.fn, where = feature.where }
    list[#list + 1] = known[name]
  end
  for _, feature in ipairs(features) do
    note(feature)
    for _, input in ipairs(feature.inputs or {}) do note(input) end
  end
  return list
end

--- Kinds and columns of a feature, and of what goes into it.
local function check_feature(feature, set, events)
  if not events.event then check_kinds(feature) end
  check_columns(feature, set)
  if feature.op == "position" then need(feature.where, word_of(feature), events, feature.column, "the events have") end
  for _, input in ipairs(feature.inputs or {}) do check_feature(input, set, events) end
end

local function check_features(features, items, events)
  local set = items and column_set(items)
  local seen = {}
  for _, feature in ipairs(features) do
    local key = identity(feature)
    if seen[key] then
      words.fail(feature.where, "the feature %s '%s' is there twice (the first at %s)", feature.op, feature.name, seen[key])
    end
    seen[key] = feature.where
    check_feature(feature, set, events)
    if feature.op == "history" then check_history(feature, features) end
  end
end

--- The last layer gives one number; with "bce" a probability. What only the sizes of the inputs can tell, the core checks.
local function check_output(where, model, loss)
  local last = model.layers[#model.layers]
  local activation = last.activation or "linear"
  if last.units and last.units ~= 1 then
    words.fail(last.where, "the last layer must have 1 unit (the probability), got %d", last.units)
  end
  if activation ~= "sigmoid" and activation ~= "linear" then
    words.fail(last.where, "the last layer must be \"sigmoid\" (or \"linear\" with loss \"mse\"), got %q", activation)
  end
  if loss == "bce" and activation ~= "sigmoid" then
    words.fail(last.where, 'loss "bce" (%s) needs "sigmoid" in the last layer, got %q', where, activation)
  end
end

--- The names that a layer may read: see rank/inputs.c.
local function input_names(features)
  local set, histories = { x = true }, 0
  for _, feature in ipairs(features) do
    if feature.op == "history" then
      histories = histories + 1
      local name = histories > 1 and "history." .. histories or "history"
      set[name], set[name .. ".ids"], set.fields = true, true, true
    elseif feature.op == "tags" then
      set[feature.name], set[feature.name .. ".ids"], set.fields = true, true, true
    elseif feature.dim and feature.op ~= "tfidf" then
      set[feature.name], set[feature.name .. ".id"], set.fields = true, true, true
      if feature.op == "column" then set.numbers = true end -- what it answers, only the data tell
    else
      set.numbers = true
    end
  end
  return set
end

local function check_inputs(layers, names)
  for _, layer in ipairs(layers) do
    for _, option in ipairs { "input", "history" } do
      local name = layer[option]
      if name and not names[name] then
        words.fail(layer.where, "m.nn.%s: the features give no input '%s'%s", layer.type or "sequential", name,
          words.hint(name, words.keys(names)))
      end
    end
    if type(layer.layers) == "table" then check_inputs(layer.layers, names) end
  end
end

---------------------------------------------------------------------------------------------------- the plan

--- Words as plain data: a copy without functions, which move to `functions` and leave their number.
local function plain(word, functions)
  local out = {}
  for key, value in pairs(word) do out[key] = value end
  if out.fn then
    functions[#functions + 1] = out.fn
    out.fn = #functions
  end
  return out
end

--- The training options with their functions as numbers.
local function plain_train(options, functions)
  local out = plain(options, functions)
  if options.on_epoch then out.on_epoch = plain({ fn = options.on_epoch }, functions).fn end
  if options.on_step then out.on_step = plain(options.on_step, functions) end
  return out
end

local function plain_list(list, functions)
  local out = words.array {}
  for i, word in ipairs(list) do out[i] = plain(word, functions) end
  return out
end

--- Features as plain data; the functions that make columns stand with those.
local function plain_features(features)
  local out = words.array {}
  for i, feature in ipairs(features) do
    out[i] = plain(feature, {})
    out[i].fn = nil
    if feature.inputs then out[i].inputs = plain_features(feature.inputs) end
  end
  return out
end

local function compile(where, name, given)
  local o = words.options(where, ("m.recipe %q"):format(name), given, RECIPE)
  local training = o.train or train(where, "train", {})
  local columns = column_set(o.events)
  rules.check(o.preprocess, columns)
  for _, column in ipairs { "user", "item", "time" } do
    need(o.events.where, "events", columns, column, "the events need user, item and time; they have")
  end
  if o.items then need(o.items.where, "items", column_set(o.items), "item", "the items need the id; they have") end
  check_label(o.label, columns)
  if o.label.sampling and o.label.sampling.by == "batch" and training.batch < 2 then
    words.fail(o.label.where, 'm.label: negatives by = "batch" need train = { batch = 2 } or more, got %d', training.batch)
  end
  if training.weight then need(where, "train: weight", columns, training.weight, "the events have") end
  check_features(o.features, o.items, columns)
  check_output(where, o.model, training.loss)
  check_inputs({ o.model }, input_names(o.features))
  local made = made_columns(o.features, o.items)
  local functions = {}
  local plan = {
    name = name, version = 1, where = where,
    sources = { events = plain(o.events, functions), items = o.items and plain(o.items, functions) },
    preprocess = plain_list(o.preprocess, functions),
    item_columns = #made > 0 and plain_list(made, functions) or nil,
    label = plain(o.label, functions),
    features = plain_features(o.features),
    state = o.state,
    model = plain(o.model, functions),
    train = plain_train(training, functions),
    evaluate = o.evaluate,
  }
  return native.result("recipe", name, plan, functions)
end

--- A recipe: m.recipe "shop" { events=, items=, preprocess=, label=, features=, model=, train=, evaluate= }.
---@param name string
---@return fun(given: moonshelf.RecipeOptions): moonshelf.Result
function recipe.recipe(name)
  local where = words.where("m.recipe")
  words.text(where, "m.recipe", name)
  if not name:match("^[%w_.-]+$") then
    words.fail(where, "m.recipe: a name is made of letters, digits, '_', '-' and '.', got %q", name)
  end
  return words.pending(("m.recipe %q without its { ... }"):format(name), function(given) return compile(where, name, given) end)
end

return recipe
