--- recipe.lua - m.recipe: puts the words together and makes the plan that C reads.
---
--- Everything that can be known without the data is checked here, in the order in which the parts stand in the plan. The first thing
--- wrong is raised with the line of the word it is about; `moonshelf check` is told of all of them (words.complain).

local words = require "moonshelf.words"
local columns = require "moonshelf.columns"
local native = require "moonshelf.native"
local nn = require "moonshelf.nn"
local rules = require "moonshelf.rules"
local tasks = require "moonshelf.tasks"
local tune = require "moonshelf.tune"

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
    return words.each(words.list(where, what, value, ("a list of words such as %s"):format(example)), function(i, word)
      if words.kind(word) ~= kind then
        words.expect(where, ("%s[%d]"):format(what, i), ("%s such as %s"):format(kind, example), word)
      end
      return word
    end)
  end
end

local METRICS = {
  "accuracy", "precision", "recall", "f1", "auc", "gauc", "logloss", "calibration", "coverage", "gini", "novelty", "diversity",
  "recall@20", "ndcg@20", "hit@20", "mrr@20", "map@20",
}
local AT_K = {
  recall = true, ndcg = true, hit = true, mrr = true, map = true, coverage = true, gini = true, novelty = true, diversity = true,
}

-- Those over examples, which a task's head can have as well as the score.
local OF_A_TASK = table.move(METRICS, 1, 8, 1, {})

local function metrics(where, what, value)
  local list = words.each(words.strings(where, what, value), function(i, name)
    local metric, k = name:match("^(%a+)@([1-9]%d*)$")
    local of_task = name:match("^[%w_]+%.(.+)$")
    if of_task then
      words.one_of(OF_A_TASK)(where, ("%s[%d]: %s"):format(what, i, name), of_task)
    elseif not AT_K[metric] then
      words.one_of(METRICS)(where, ("%s[%d]"):format(what, i), name)
    elseif tonumber(k) > 1000 then
      words.fail(where, "%s[%d]: %s: k must be from 1 to 1000", what, i, name)
    end
    return name
  end)
  if #list > 32 then words.fail(where, "%s: 32 metrics at most, got %d", what, #list) end
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

--- sequences = true, or { stride = 25 }, or for a cloze { mask = 0.2 }
local function sequences(where, what, value)
  if value == false then return nil end
  local o = words.options(where, what, value == true and {} or value, {
    stride = { words.integer(1) }, mask = { words.number { above = 0, below = 1 } },
    negatives = { words.integer(1, 65536) }, power = { words.number { min = 0, max = 10 } },
  })
  if o.power and not o.negatives then words.complain(where, "%s: power is of the popularity by which negatives = N are drawn", what) end
  return o
end

local TRAIN = {
  loss = { words.one_of { "bce", "mse", "bpr", "softmax" }, default = "bce" },
  positive_weight = { words.number { above = 0 } },
  weight = { words.text },
  weights = { tasks.weights },
  sequences = { sequences },
  log_q = { words.boolean },
  optimizer = { a("an optimizer", "m.nn.adam { lr = 1e-3 }") },
  epochs = { words.integer(1, 512), default = 10 },
  batch = { words.integer(1, 1048576), default = 32 },
  split = { a("a split", "m.split.by_time { 0.8, 0.1, 0.1 }") },
  validation = { words.number { above = 0, below = 1 } },
  seed = { words.integer(0), default = 42 },
  patience = { words.integer(0), default = 0 },
  threads = { words.integer(1, 64) },
  precision = { words.one_of { "f32", "bf16", "int8" } },
  standardise = { words.boolean },
  ahead = { words.integer(0, 8) },
  checkpoint = { words.integer(1) },
  on_epoch = { words.func },
  on_step = { on_step },
}

local function train(where, what, value)
  local o = words.options(where, what, value, TRAIN)
  if o.split and o.validation then words.complain(where, "%s: give split or validation, not both", what) end
  if o.positive_weight and o.loss ~= "bce" then words.complain(where, '%s: positive_weight is for the loss "bce"', what) end
  if o.sequences and o.loss ~= "softmax" then words.complain(where, '%s: sequences are for the loss "softmax"', what) end
  if o.log_q and o.loss ~= "softmax" then words.complain(where, '%s: log_q is for the loss "softmax"', what) end
  local share = words.known(o.validation)
  local parts = words.known(o.split) or (share and { by = "time", parts = words.array { 1 - share, share, 0.0 } }) or default_split()
  local optimizer = {}
  for key, option in pairs(words.known(o.optimizer) or nn.adam {}) do
    if key ~= "where" then optimizer[key] = option end
  end
  o.optimizer, o.split, o.validation = optimizer, { by = parts.by, parts = parts.parts }, nil
  return o
end

local CLOSED = { ease = true, item_knn = true, content = true, popular = true, trending = true }

--- The layer of a model that is computed in closed form (m.nn.ease and the like), or nil.
local function closed_layer(model)
  if words.has_gaps(model.layers) then return nil end
  for _, one in ipairs(model.layers or {}) do
    local found = CLOSED[one.type] and one or type(one.layers) == "table" and closed_layer(one)
    if found then return found end
  end
end

local OF_CLOSED = { split = true, validation = true, seed = true }

--- Nothing of such a model is trained: there is no loss to make small, and no step to take.
local function train_closed(where, layer, given, training)
  for _, key in ipairs(type(given) == "table" and words.keys(given) or {}) do
    if TRAIN[key] and not OF_CLOSED[key] then
      words.complain(words.option_place(where, key),
        "train: %s is for models that are trained; m.nn.%s is computed at once and needs split alone", key, layer.type)
    end
  end
  return { split = training.split, seed = training.seed }
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
  label = { tasks.labels, required = true },
  features = { many("a feature", 'm.id "user"'), required = true },
  model = { a("a model", "m.nn.sequential { ... }"), required = true },
  score = { tasks.score },
  state = { state_options },
  train = { train },
  evaluate = { metrics, default = words.array { "accuracy", "auc", "logloss", "recall@20", "ndcg@20", "coverage" } },
}

---------------------------------------------------------------------------------------------------- checks of parts with each other

local function check_label(label, events)
  if label.column then
    columns.want(events, label.where, "m.label", label.column, "number", "time")
  elseif not events.unknown and not events.types.event then
    words.complain(label.where, "m.label: positive and of are kinds of events, but the events have no column 'event'")
  end
end

--- Without a column 'event' every event is of the kind "event".
local function check_kinds(feature)
  for _, list in ipairs { feature.kinds or {}, feature.numerator or {}, feature.denominator or {} } do
    for _, kind in ipairs(list) do
      if kind ~= "event" then
        words.complain(feature.where, "m.%s: there is no kind '%s': the events have no column 'event'", feature.op, kind)
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
  if feature.text then return "m.text_embedding" end
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
  out[#out + 1] = feature.text -- of an encoder
  for _, column in ipairs(feature.columns or {}) do
    if column ~= "user" then out[#out + 1] = column end
  end
  return out
end

-- What its column must hold, by the feature that reads it; others, and what is compared or counted by, are texts.
local NUMBER, TIME, TEXT = { "number", "time" }, { "time" }, { "string" }
local HOLDS = { numeric = NUMBER, relative = NUMBER, mean = NUMBER, age = TIME }

local function check_columns(feature, items)
  for _, column in ipairs(columns_of(feature)) do
    local holds = column ~= feature.by and HOLDS[feature.op] or TEXT
    if not items then
      words.complain(feature.where, "%s %q reads the items, but the recipe has no items = ...", word_of(feature), column)
    else
      columns.want(items, feature.where, word_of(feature), column, table.unpack(holds))
    end
  end
end

--- A history shares the embeddings of a feature beside it.
local function check_history(feature, features)
  local known = {}
  if feature.of == "gap" or words.has_gaps(features) then return end
  for _, other in ipairs(features) do
    if other.op == "id" and other.entity == "item" then known.item = true end
    if other.op == "category" or other.op == "column" then known[other.column] = true end
  end
  if known[feature.of or "item"] then return end
  if not feature.of then
    words.complain(feature.where, 'm.history shares the embeddings of m.id "item": add that feature')
  else
    words.complain(feature.where, "m.history shares the embeddings of m.category %q: add that feature%s", feature.of,
      words.hint(feature.of, words.keys(known)))
  end
end

--- The columns of the items that functions make, each once, with its maker: a list of rules for the plan.
local function made_columns(features, items)
  local list, known = words.array {}, {}
  local set = items and columns.of(items, "the items").types or {}
  local function note(feature)
    if feature.op ~= "column" then return end
    local name, before = feature.column, known[feature.column]
    if not items then words.complain(feature.where, "m.lua %q reads the items, but the recipe has no items = ...", name) end
    if set[name] then words.complain(feature.where, "m.lua %q: the items have a column '%s'; choose another name", name, name) end
    if before and before.fn ~= feature.fn then
      words.complain(feature.where, "m.lua %q: another function makes '%s' (at %s)", name, name, before.where)
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
local function check_feature(feature, items, events)
  if not events.unknown and not events.types.event then check_kinds(feature) end
  check_columns(feature, items)
  if feature.op == "position" then columns.want(events, feature.where, word_of(feature), feature.column, "number", "time") end
  for _, input in ipairs(feature.inputs or {}) do check_feature(input, items, events) end
end

local function check_features(features, items, events)
  local seen = {}
  for _, feature in ipairs(features) do
    local key = identity(feature)
    if seen[key] then
      words.complain(feature.where, "the feature %s '%s' is there twice (the first at %s)", feature.op, feature.name, seen[key])
    end
    seen[key] = seen[key] or feature.where
    check_feature(feature, items, events)
    if feature.op == "history" then check_history(feature, features) end
  end
end

-- Losses of a success beside what was not chosen.
local COMPARES = { bpr = true, softmax = true }

--- The last layer, or that of each head, gives one number; with "bce" a probability. What only the sizes of the inputs can tell, the core
--- checks.
local function check_end(where, last, loss)
  local activation = last.activation or "linear"
  if last.units and last.units ~= 1 then
    words.complain(last.where, "the last layer must have 1 unit (the probability), got %d", last.units)
  end
  if activation ~= "sigmoid" and activation ~= "linear" then
    words.complain(last.where, "the last layer must be \"sigmoid\" (or \"linear\" with loss \"mse\"), got %q", activation)
  end
  if loss == "bce" and activation ~= "sigmoid" then
    words.complain(last.where, 'loss "bce" (%s) needs "sigmoid" in the last layer, got %q', where, activation)
  elseif loss and COMPARES[loss] and activation == "sigmoid" then
    words.complain(last.where, 'loss %q (%s) compares scores: the last layer must be "linear", got "sigmoid"', loss, where)
  end
end

local function check_output(where, model, loss)
  if words.has_gaps(model.layers) then return end
  if closed_layer(model) then loss = nil end -- there is none to make small
  for _, last in ipairs(tasks.ends(model)) do check_end(where, last, loss) end
end

--- The names by which layers may read a feature, each feature's own: see rank/inputs.c. All of them are in "x" too.
---@param features moonshelf.Feature[]
---@return table<moonshelf.Feature, string[]>
local function names_of(features)
  local names, histories = {}, 0
  for _, feature in ipairs(features) do
    if feature.op == "history" then
      histories = histories + 1
      local name = histories > 1 and "history." .. histories or "history"
      names[feature] = { name, name .. ".ids", "fields" }
    elseif feature.op == "tags" then
      names[feature] = { feature.name, feature.name .. ".ids", "fields" }
    elseif feature.dim and feature.op ~= "tfidf" then
      names[feature] = { feature.name, feature.name .. ".id", "fields" }
      if feature.op == "column" then names[feature][4] = "numbers" end -- what it answers, only the data tell
    else
      names[feature] = { "numbers" }
    end
  end
  return names
end

local function check_inputs(layers, names)
  for _, layer in ipairs(layers) do
    for _, option in ipairs { "input", "history" } do
      local name = layer[option]
      if name and not names[name] then
        words.complain(layer.where, "m.nn.%s: the features give no input '%s'%s", layer.type or "sequential", name,
          words.hint(name, words.keys(names)))
      end
    end
    if type(layer.layers) == "table" then check_inputs(layer.layers, names) end
  end
end

--- Note by name what a layer reads where `flowing` ("x", or nil for what another layer made of it) comes in.
local function note_reads(layer, flowing, reads)
  for _, option in ipairs { "input", "history" } do
    if layer[option] then reads[layer[option]] = true end
  end
  if layer.input then flowing = nil end
  if flowing and (type(layer.layers) ~= "table" or layer.type == "residual") then reads[flowing] = true end
  for _, inner in ipairs(type(layer.layers) == "table" and layer.layers or {}) do
    note_reads(inner, flowing, reads)
    if layer.type ~= "parallel" and layer.type ~= "dot" and layer.type ~= "heads" then flowing = nil end
  end
end

--- Warn of the features that the model does not read. A table that a history shares is read with it.
local function warn_unread(features, model, names)
  local reads, shared = {}, {}
  note_reads(model, "x", reads)
  if reads.x then return end
  local read = table.concat(words.keys(reads), ", ")
  local function is_read(feature)
    for _, name in ipairs(names[feature]) do
      if reads[name] then return true end
    end
    return shared[feature.op == "id" and feature.entity == "item" and "item" or feature.column]
  end
  for _, feature in ipairs(features) do
    if feature.op == "history" and is_read(feature) then shared[feature.of or "item"] = true end
  end
  local closed = closed_layer(model)
  local function is_content(feature)
    if not closed or closed.type ~= "content" or not closed.of then return closed and closed.type == "content" end
    for _, name in ipairs(closed.of) do
      if name == feature.name then return true end
    end
  end
  for _, feature in ipairs(features) do
    if not is_read(feature) and not is_content(feature) then
      words.warn(feature.where, "no layer reads the feature '%s'; the model reads %s", feature.name, read)
    end
  end
end

--- The features that content is compared by.
local function check_content(layer, features)
  local names = {}
  for i, feature in ipairs(features) do names[i] = feature.name end
  for _, name in ipairs(layer.of or {}) do
    local known = false
    for _, other in ipairs(names) do known = known or other == name end
    if not known then words.complain(layer.where, "m.nn.content: there is no feature '%s'%s", name, words.hint(name, names)) end
  end
end

local function check_model(where, o, loss)
  if not words.known(o.model) then return end
  check_output(where, o.model, loss)
  if words.has_gaps(o.features) then return end
  local closed = closed_layer(o.model)
  if closed and closed.type == "content" then check_content(closed, o.features) end
  local names, set = names_of(o.features), { x = true }
  for _, list in pairs(names) do
    for _, name in ipairs(list) do set[name] = true end
  end
  check_inputs({ o.model }, set)
  if not words.has_gaps(o.model.layers) then warn_unread(o.features, o.model, names) end
end

--- A column of the events that nothing reads; what functions of the script read cannot be seen.
local function warn_unused(o, events)
  if events.unknown or not words.known(o.label) then return end
  if words.has_gaps(o.preprocess) or words.has_gaps(o.features) then return end
  for _, rule in ipairs(o.preprocess) do
    if rule.fn then return end
  end
  for _, column in ipairs { "user", "item", "time", "event" } do events.used[column] = true end
  columns.warn_unused(events)
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

--- The checks of the parts with each other; what is not known is a stand-in.
local function check_parts(where, o, training)
  local events = columns.of(o.events, "the events")
  local items = o.items and columns.of(o.items, "the items")
  rules.check(words.known(o.preprocess) or {}, events)
  local roles = words.has_gaps(o.preprocess) and {} or { { "user", "string" }, { "item", "string" }, { "time", "time" } }
  for _, role in ipairs(roles) do
    local at, name = words.known(o.events) and o.events.where or where, role[1]
    if columns.need(events, at, "events", name, "the events need user, item and time; they have") then
      columns.want(events, at, "events", name, role[2])
    end
  end
  if items and words.known(o.items) then columns.need(items, o.items.where, "items", "item", "the items need the id; they have") end
  local closed = words.known(o.model) and closed_layer(o.model)
  for _, label in ipairs(tasks.list(o.label)) do
    check_label(label, events)
    if closed and (label.negatives or 0) ~= 0 then
      words.complain(label.where, "m.label: negatives are for models that are trained; m.nn.%s (%s) is computed from events",
        closed.type, closed.where)
    elseif not closed and label.sampling and label.sampling.by == "batch" and training.batch < 2 then
      words.complain(label.where, 'm.label: negatives by = "batch" need train = { batch = 2 } or more, got %d', training.batch)
    end
    if not closed and training.loss == "bpr" and label.negatives == 0 then
      words.complain(label.where, 'm.label: loss "bpr" (%s) compares with what was not chosen: give negatives = 4, or so', where)
    end
  end
  if words.known(training.weight) then
    columns.want(events, words.option_place(where, "weight"), "train: weight", training.weight, "number")
  end
  check_features(words.known(o.features) or {}, items, events)
  check_model(where, o, training.loss)
  warn_unused(o, events)
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
  local training = words.known(o.train) or train(where, "train", {})
  local closed = words.known(o.model) and closed_layer(o.model)
  if closed then training = train_closed(where, closed, given.train, training) end
  check_parts(where, o, training)
  local label, score = tasks.arrange(where, o, training)
  local made = made_columns(words.known(o.features) or {}, o.items)
  local functions = {}
  local function part(word, make)
    return words.known(word) and make(word, functions)
  end
  local plan = {
    name = name, version = 1, where = where,
    sources = { events = part(o.events, plain), items = part(o.items, plain) },
    preprocess = part(o.preprocess, plain_list),
    item_columns = #made > 0 and plain_list(made, functions) or nil,
    label = label and (words.kind(label) and plain or plain_list)(label, functions),
    features = part(o.features, plain_features),
    state = words.known(o.state),
    model = part(o.model, function(model)
      local out = plain(model, functions)
      out.score = score
      return out
    end),
    train = plain_train(training, functions),
    evaluate = words.known(o.evaluate),
    tune = tune.take(),
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
    words.complain(where, "m.recipe: a name is made of letters, digits, '_', '-' and '.', got %q", name)
  end
  return words.pending(("m.recipe %q without its { ... }"):format(name), function(given) return compile(where, name, given) end)
end

return recipe
