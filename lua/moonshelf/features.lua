--- features.lua - the words for features: what the model sees of a user, an item and their past.
---
--- A feature is only named here. core/feature computes it, once for training and serving alike.

local words = require "moonshelf.words"
local formula = require "moonshelf.formula"

local features = {}

local ENTITIES = { "user", "item" }
local MAX_WINDOWS = 8

local function feature(where, fields)
  return words.new("a feature", where, fields)
end

--- A feature word that stands alone and may also be called with options: m.id "user", m.id "user" { dim = 16 }. Both are features;
--- calling gives a fresh one.
local function with_options(where, what, spec, make)
  local word = make(words.options(where, what, nil, spec))
  local with = words.guard(function(given) return feature(where, make(words.options(where, what, given, spec))) end)
  setmetatable(word, { __call = function(_, given) return with(given) end })
  return feature(where, word)
end

--- An event kind, a list of kinds, or "any" (-> the empty list: all kinds).
local function kinds(where, what, value)
  local list = words.strings(where, what, value)
  for _, kind in ipairs(list) do
    if kind == "any" and #list > 1 then words.fail(where, '%s: "any" stands alone', what) end
    if kind == "any" then return words.array {} end
  end
  return list
end

local function kinds_name(list)
  return #list == 0 and "any" or table.concat(list, "+")
end

local EMBEDDING = {
  dim = { words.integer(1, 1024), default = 16 },
  min_count = { words.integer(0), default = 1 },
  hash = { words.integer(2, 2 ^ 31), default = 0 },
}

--- An embedding of the user's or the item's id.
---@param entity moonshelf.Entity
---@return moonshelf.IdFeature  call it with { dim = 16, min_count = 1, hash = 2^18 }
function features.id(entity)
  local where = words.where("m.id")
  words.one_of(ENTITIES)(where, "m.id", entity)
  return with_options(where, ("m.id %q"):format(entity), EMBEDDING, function(o)
    return { op = "id", name = entity, entity = entity, dim = o.dim, min_count = o.min_count, hash = o.hash }
  end)
end

--- An embedding of a string column of the items.
---@param column string
---@return moonshelf.CategoryFeature  call it with { dim = 8, min_count = 1, hash = 2^10 }
function features.category(column)
  local where = words.where("m.category")
  words.text(where, "m.category", column)
  return with_options(where, ("m.category %q"):format(column), EMBEDDING, function(o)
    return { op = "category", name = column, column = column, dim = o.dim, min_count = o.min_count, hash = o.hash }
  end)
end

local CROSS = { dim = EMBEDDING.dim, hash = { words.integer(2, 2 ^ 31), default = 10000 } }

--- An embedding of several string columns of the items as one value, by a hash of them all; "user" is the user.
---@param columns string[]
---@param options? { dim: integer?, hash: integer? }
---@return moonshelf.Feature
function features.cross(columns, options)
  local where = words.where("m.cross")
  local list = words.strings(where, "m.cross: the columns", columns)
  if #list < 2 or #list > 8 then words.fail(where, "m.cross: 2 to 8 columns are crossed, got %d", #list) end
  local o = words.options(where, "m.cross", options, CROSS)
  return feature(where, { op = "cross", name = table.concat(list, "*"), columns = list, dim = o.dim, hash = o.hash })
end

--- A bag of an item's texts: their mean embedding. `most` is how many of one item count unless given.
local function bag(word, most, separated)
  local spec = { dim = EMBEDDING.dim, min_count = EMBEDDING.min_count, hash = EMBEDDING.hash,
    max = { words.integer(1, 256), default = most }, sep = separated and { words.text, default = "|" } or nil }
  return function(column)
    local where = words.where(word)
    words.text(where, word, column)
    return with_options(where, ("%s %q"):format(word, column), spec, function(o)
      return { op = "tags", name = column, column = column, separator = o.sep, max = o.max, dim = o.dim, min_count = o.min_count,
        hash = o.hash }
    end)
  end
end

--- The mean embedding of the values that a string column holds, separated by "|".
---@type fun(column: string): moonshelf.TagsFeature
features.tags = bag("m.tags", 8, true)

--- The mean embedding of the words of a string column.
---@type fun(column: string): moonshelf.TagsFeature
features.words = bag("m.words", 16, false)

local TFIDF = { dim = EMBEDDING.dim, min_count = EMBEDDING.min_count }

--- The words of a string column as a few numbers: weighed by TF-IDF, folded by a hash to `dim` numbers of length 1 together.
---@param column string
---@param options? { dim: integer?, min_count: integer? }
---@return moonshelf.Feature
function features.tfidf(column, options)
  local where = words.where("m.tfidf")
  words.text(where, "m.tfidf", column)
  local o = words.options(where, "m.tfidf", options, TFIDF)
  return feature(where, { op = "tfidf", name = ("tfidf(%s)"):format(column), column = column, dim = o.dim, min_count = o.min_count })
end

local FILE = {
  file = { words.text, required = true },
  ids = { words.text, required = true },
  dim = { words.integer(1, 1024), required = true },
  tensor = { words.text },
  freeze = { words.boolean, default = true },
}

--- Vectors of the items (or users) that a .npy or .safetensors file holds, one a row; `ids` is a file with the id of each row, one a line.
---@param entity moonshelf.Entity
---@return fun(options: { file: string, ids: string, dim: integer, tensor: string?, freeze: boolean? }): moonshelf.Feature
function features.embedding_file(entity)
  local where = words.where("m.embedding_file")
  words.one_of(ENTITIES)(where, "m.embedding_file", entity)
  local what = ("m.embedding_file %q"):format(entity)
  return words.pending(what .. " without its { ... }", function(given)
    local o = words.options(where, what, given, FILE)
    if not o.file:match("%.npy$") and not o.file:match("%.safetensors$") then
      words.fail(where, "%s: file must end in .npy or .safetensors, got %s", what, words.quote(o.file))
    end
    local name = o.file:match("([^/]+)%.[^.]+$") or o.file
    return feature(where, { op = "embedding_file", name = name, entity = entity, file = o.file, ids = o.ids, dim = o.dim,
      tensor = o.tensor, freeze = o.freeze })
  end)
end

local POOLINGS = { "mean", "cls" }
local CHECKPOINT = {
  checkpoint = { words.text, required = true },
  dim = { words.integer(1, 1024), required = true },
  pooling = { words.one_of(POOLINGS), default = "mean" },
  normalize = { words.boolean, default = false },
  max_length = { words.integer(2, 65535) },
  freeze = { words.boolean, default = true },
}

--- Vectors of a text column of the items by a BERT-class encoder: `checkpoint` is its folder, in the Hugging Face layout, `dim` its
--- hidden size.
---@param column string
---@return fun(options: moonshelf.CheckpointOptions): moonshelf.Feature
function features.text_embedding(column)
  local where = words.where("m.text_embedding")
  words.text(where, "m.text_embedding", column)
  local what = ("m.text_embedding %q"):format(column)
  return words.pending(what .. " without its { ... }", function(given)
    local o = words.options(where, what, given, CHECKPOINT)
    return feature(where, { op = "embedding_file", name = ("text_embedding(%s)"):format(column), entity = "item", text = column,
      checkpoint = o.checkpoint, dim = o.dim, pooling = o.pooling, normalize = o.normalize, max_length = o.max_length,
      freeze = o.freeze })
  end)
end

--- A number column of the items, as it is.
---@param column string
---@return moonshelf.Feature
function features.numeric(column)
  local where = words.where("m.numeric")
  words.text(where, "m.numeric", column)
  return feature(where, { op = "numeric", name = column, column = column })
end

--- A number column of the items over its mean among the items of the same value of another column: m.relative("price", "category") is
--- 2 where the item costs twice what such things do.
---@param column string
---@param by string
---@return moonshelf.Feature
function features.relative(column, by)
  local where = words.where("m.relative")
  words.text(where, "m.relative", column)
  words.text(where, "m.relative: by", by)
  return feature(where, { op = "relative", name = ("relative(%s,%s)"):format(column, by), column = column, by = by })
end

---------------------------------------------------------------------------------------------------- steps of a number

local NUMBERS = { numeric = true, relative = true, count = true, rate = true, decay = true, mean = true, recency = true, age = true,
  clock = true, position = true, cooccurrence = true, column = true, formula = true }

--- The number that a step works on: a feature that is one, or the name of a number column.
local function number_of(where, what, value)
  if type(value) == "string" then
    words.text(where, what, value)
    return { op = "numeric", name = value, column = value }
  end
  if words.kind(value) ~= "a feature" or not NUMBERS[value.op] or (value.steps and value.dim) then
    words.expect(where, what, "the name of a number column or a number such as m.count(...)", value)
  end
  return value
end

--- A copy of the number with one step more.
local function with_step(where, what, value, name, step, dim)
  local out = {}
  for key, field in pairs(number_of(where, what, value)) do out[key] = field end
  out.steps = words.array(table.move(out.steps or {}, 1, #(out.steps or {}), 1, {}))
  out.steps[#out.steps + 1] = step
  out.name, out.dim, out.min_count, out.hash = ("%s(%s)"):format(name, out.name), dim, nil, nil
  return feature(where, out)
end

--- log(1 + x), of negative x 0: for prices and other long tails; also of a number in the function of m.lua.
---@overload fun(x: moonshelf.Symbol): moonshelf.Symbol
---@param x moonshelf.Number
---@return moonshelf.Feature
function features.log(x)
  if formula.is(x) then return (formula.log(x)) end
  local where = words.where("m.log")
  return with_step(where, "m.log", x, "log", { op = "log" })
end

--- Not below `low`, not above `high`.
---@param x moonshelf.Number
---@param low number
---@param high number
---@return moonshelf.Feature
function features.clip(x, low, high)
  local where = words.where("m.clip")
  local a, b = words.number()(where, "m.clip: low", low), words.number()(where, "m.clip: high", high)
  if a >= b then words.fail(where, "m.clip: low must be below high, got %s and %s", tostring(low), tostring(high)) end
  return with_step(where, "m.clip", x, "clip", { op = "clip", bounds = words.array { a, b } })
end

--- Scaled by what the training part has: "standard" (mean 0, deviation 1), "minmax" (0 to 1), "quantile" (the share below x).
---@param x moonshelf.Number
---@param by? "standard"|"minmax"|"quantile"
---@return moonshelf.Feature
function features.scale(x, by)
  local where = words.where("m.scale")
  if by == nil then by = "standard" end
  words.one_of { "standard", "minmax", "quantile" }(where, "m.scale: the way", by)
  return with_step(where, "m.scale", x, "scale", { op = "scale", by = by })
end

--- Numbers or durations (in seconds), rising.
local function edges_of(where, edges)
  local out = words.array {}
  for i, edge in ipairs(words.list(where, "m.bucketize: the edges", edges, "a list of rising numbers or durations")) do
    local what = ("m.bucketize: edge %d"):format(i)
    out[i] = type(edge) == "string" and words.duration(where, what, edge) / 1e6 or words.number()(where, what, edge)
    if i > 1 and out[i] <= out[i - 1] then words.fail(where, "%s must be above edge %d", what, i - 1) end
  end
  if #out > 1000 then words.fail(where, "m.bucketize: at most 1000 edges, got %d", #out) end
  return out
end

--- An embedding of the bucket that x falls in: between these edges, or of so many buckets that are equally full in training.
---@param x moonshelf.Number
---@param edges (number|string)[]|integer
---@param options? { dim: integer? }
---@return moonshelf.Feature
function features.bucketize(x, edges, options)
  local where = words.where("m.bucketize")
  local step = { op = "bucketize" }
  if type(edges) == "number" then step.buckets = words.integer(2, 1000)(where, "m.bucketize: the buckets", edges)
  else step.edges = edges_of(where, edges) end
  local o = words.options(where, "m.bucketize", options, { dim = EMBEDDING.dim })
  if #(number_of(where, "m.bucketize", x).windows_us or {}) > 1 then
    words.fail(where, "m.bucketize takes one number; m.count has %d windows here", #x.windows_us)
  end
  return with_step(where, "m.bucketize", x, "bucketize", step, o.dim)
end

---------------------------------------------------------------------------------------------------- time

local CLOCK = { dim = EMBEDDING.dim, zone = { words.zone, default = 0 } }

local function clock(unit)
  local word = "m." .. unit
  return function(options)
    local where = words.where(word)
    local o = words.options(where, word, options, CLOCK)
    local fixed = type(o.zone) == "number"
    return feature(where, { op = "clock", name = unit, unit = unit, zone_us = fixed and o.zone or nil, zone = not fixed and o.zone or nil,
      dim = o.dim })
  end
end

--- An embedding of the hour of the day; in a step, 0 to 23.
---@type fun(options?: { zone: string?, dim: integer? }): moonshelf.Feature
features.hour = clock "hour"

--- An embedding of the day of the week; in a step, 1 (Monday) to 7.
---@type fun(options?: { zone: string?, dim: integer? }): moonshelf.Feature
features.weekday = clock "weekday"

--- The seconds since a time column of the items; log(1 + seconds).
---@param column string
---@return moonshelf.Feature
function features.age(column)
  local where = words.where("m.age")
  words.text(where, "m.age", column)
  return feature(where, { op = "age", name = ("age(%s)"):format(column), column = column })
end

---------------------------------------------------------------------------------------------------- of the event itself

local POSITION = { serving = { words.number(), default = 1.0 } }

--- A number column of the events, such as the place where the item was shown: in training what the event says, in serving always
--- the same, so that what is due to the place is not put down to the item.
---@param column string
---@param options? { serving: number? }
---@return moonshelf.Feature
function features.position(column, options)
  local where = words.where("m.position")
  words.text(where, "m.position", column)
  local o = words.options(where, "m.position", options, POSITION)
  return feature(where, { op = "position", name = column, column = column, serving = o.serving })
end

---------------------------------------------------------------------------------------------------- the past

local function window(where, what, value)
  if value == "all" then return 0 end
  return words.duration(where, what, value)
end

--- The windows of m.count in microseconds, each once.
local function spans(where, windows)
  local out, seen = words.array {}, {}
  for i, text in ipairs(words.strings(where, "m.count: the windows", windows)) do
    local span = window(where, ("m.count: window %d"):format(i), text)
    if seen[span] then words.fail(where, "m.count: the windows '%s' and '%s' are the same", seen[span], text) end
    seen[span] = text
    out[i] = span
  end
  if #out > MAX_WINDOWS then words.fail(where, "m.count: at most %d windows, got %d", MAX_WINDOWS, #out) end
  return out
end

--- What events are told apart by: the item itself, or a string column of the items.
local function by_of(entity)
  return function(where, what, value)
    words.text(where, what, value)
    if entity == "item" and value == "item" then
      words.fail(where, '%s: "item" is for the user; an item is counted by itself anyway', what)
    end
    return value
  end
end

local function past_name(word, entity, what, by, more)
  return ("%s(%s,%s%s%s)"):format(word, entity, what, by and "," .. by or "", more and "," .. more or "")
end

--- How often an event of these kinds happened to the entity within each window before now; log(1 + n).
---@param entity moonshelf.Entity
---@param kind moonshelf.Text      "view", { "view", "click" } or "any"
---@param windows? moonshelf.Text  { "1h", "7d", "all" }
---@param options? { by: string? } by = "category": only events on items of the candidate's category
---@return moonshelf.Feature
function features.count(entity, kind, windows, options)
  local where = words.where("m.count")
  words.one_of(ENTITIES)(where, "m.count: the first argument", entity)
  local list = kinds(where, "m.count: the event kind", kind)
  local o = words.options(where, "m.count", options, { by = { by_of(entity) } })
  return feature(where, {
    op = "count", name = past_name("count", entity, kinds_name(list), o.by), entity = entity, kinds = list, by = o.by,
    windows_us = spans(where, windows == nil and "all" or windows),
  })
end

--- 1 where the user did an event of these kinds with this very item, else 0.
---@param kind moonshelf.Text
---@param options? { within: string? }
---@return moonshelf.Feature
function features.interacted_with(kind, options)
  local where = words.where("m.interacted_with")
  local list = kinds(where, "m.interacted_with: the event kind", kind)
  local o = words.options(where, "m.interacted_with", options, { within = { window, default = 0 } })
  return feature(where, {
    op = "count", name = ("interacted_with(%s)"):format(kinds_name(list)), entity = "user", kinds = list, by = "item",
    windows_us = words.array { o.within }, steps = words.array { { op = "clip", bounds = words.array { 0.0, 1.0 } } },
  })
end

--- The events of these kinds, each worth half as much after every half-life; log(1 + n).
---@param entity moonshelf.Entity
---@param kind moonshelf.Text
---@param half_life string  "3d"
---@param options? { by: string? }
---@return moonshelf.Feature
function features.decay(entity, kind, half_life, options)
  local where = words.where("m.decay")
  words.one_of(ENTITIES)(where, "m.decay: the first argument", entity)
  local list = kinds(where, "m.decay: the event kind", kind)
  local span = words.duration(where, "m.decay: the half-life", half_life)
  local o = words.options(where, "m.decay", options, { by = { by_of(entity) } })
  return feature(where, {
    op = "decay", name = past_name("decay", entity, kinds_name(list), o.by, half_life), entity = entity, kinds = list, by = o.by,
    half_life_us = span,
  })
end

--- The mean of a number column over the items of the entity's events of these kinds: the price that a user looks at. With a half-life an
--- event weighs half as much after each.
---@param entity moonshelf.Entity
---@param kind moonshelf.Text
---@param column string
---@param options? { half_life: string?, by: string? }
---@return moonshelf.Feature
function features.mean(entity, kind, column, options)
  local where = words.where("m.mean")
  words.one_of(ENTITIES)(where, "m.mean: the first argument", entity)
  local list = kinds(where, "m.mean: the event kind", kind)
  words.text(where, "m.mean: the column", column)
  local o = words.options(where, "m.mean", options, { half_life = { words.duration, default = 0 }, by = { by_of(entity) } })
  if entity == "item" and not o.by then
    words.fail(where, "m.mean: the %s of an item is the same in all its events; by = \"category\" takes the mean of such items", column)
  end
  return feature(where, {
    op = "mean", name = past_name("mean", entity, kinds_name(list) .. "," .. column, o.by), entity = entity, kinds = list, column = column,
    half_life_us = o.half_life, by = o.by,
  })
end

--- The seconds since the entity's last event of these kinds, `never` where there was none; log(1 + seconds).
---@param entity moonshelf.Entity
---@param kind moonshelf.Text
---@param options? { by: string?, never: string? }
---@return moonshelf.Feature
function features.recency(entity, kind, options)
  local where = words.where("m.recency")
  words.one_of(ENTITIES)(where, "m.recency: the first argument", entity)
  local list = kinds(where, "m.recency: the event kind", kind)
  local o = words.options(where, "m.recency", options,
    { by = { by_of(entity) }, never = { words.duration, default = 365 * 86400 * 1000000 } })
  return feature(where, {
    op = "recency", name = past_name("recency", entity, kinds_name(list), o.by), entity = entity, kinds = list, by = o.by,
    never_us = o.never,
  })
end

local RATE = {
  by = { words.text },
  over = { window, default = 0 },
  prior = { function(where, what, value)
    words.list(where, what, value, "two numbers { a, b }")
    if #value ~= 2 then words.expect(where, what, "two numbers { a, b }", value) end
    local a = words.number { min = 0 }(where, what .. "[1]", value[1])
    local b = words.number { above = 0 }(where, what .. "[2]", value[2])
    return words.array { a, b }
  end, default = words.array { 1.0, 20.0 } },
}

--- A smoothed rate: (numerator + a) / (denominator + b) over a window.
---@param entity moonshelf.Entity
---@param numerator moonshelf.Text
---@param denominator moonshelf.Text
---@param options? { over: string?, prior: number[]?, by: string? }
---@return moonshelf.Feature
function features.rate(entity, numerator, denominator, options)
  local where = words.where("m.rate")
  words.one_of(ENTITIES)(where, "m.rate: the first argument", entity)
  local top = kinds(where, "m.rate: the numerator", numerator)
  local bottom = kinds(where, "m.rate: the denominator", denominator)
  local o = words.options(where, "m.rate", options, RATE)
  if o.by then by_of(entity)(where, "m.rate: by", o.by) end
  return feature(where, {
    op = "rate", name = past_name("rate", entity, kinds_name(top) .. "/" .. kinds_name(bottom), o.by), entity = entity, by = o.by,
    numerator = top, denominator = bottom, over_us = o.over, prior = o.prior,
  })
end

local COOCCURRENCE = { last = { words.integer(1, 100), default = 10 }, pairs = { words.integer(1000, 2 ^ 28), default = 1000000 } }

--- The item-kNN score: how well the item goes with the user's last items by events of these kinds: the sum of together / sqrt(n n'), where
--- `together` is how often one came while the other was among somebody's last, and n how often each did.
---@param kind moonshelf.Text
---@param options? { last: integer?, pairs: integer? }
---@return moonshelf.Feature
function features.cooccurrence(kind, options)
  local where = words.where("m.cooccurrence")
  local list = kinds(where, "m.cooccurrence: the event kind", kind)
  local o = words.options(where, "m.cooccurrence", options, COOCCURRENCE)
  return feature(where, { op = "cooccurrence", name = ("cooccurrence(%s)"):format(kinds_name(list)), kinds = list, last = o.last,
    pairs = o.pairs })
end

local HISTORY = {
  last = { words.integer(1, 1000), default = 50 },
  of = { kinds, default = words.array {} },
}
local GAPS = { last = HISTORY.last, of = HISTORY.of, dim = EMBEDDING.dim }

--- The mean embedding of the user's last items: of their ids, of a category of theirs, or of how long ago each was ("gap"). Ids and
--- categories share the table of m.id "item" or m.category.
---@param what "item"|"gap"|string
---@param options? { last: integer?, of: moonshelf.Text?, dim: integer? }
---@return moonshelf.Feature
function features.history(what, options)
  local where = words.where("m.history")
  words.text(where, "m.history", what)
  local o = words.options(where, "m.history", options, what == "gap" and GAPS or HISTORY)
  local shared = what ~= "item" and what or nil
  return feature(where, { op = "history", name = ("history(%s)"):format(what), of = shared, last = o.last, kinds = o.of, dim = o.dim })
end

---------------------------------------------------------------------------------------------------- functions

--- Of items: the function is asked once for each, when the data are read, and its answers are a column of the items.
local function of_items(where, what, name, fn, options)
  local o = words.options(where, what, options, EMBEDDING)
  return feature(where, { op = "column", name = name, column = name, fn = fn, dim = o.dim, min_count = o.min_count, hash = o.hash })
end

--- What goes into a formula: a number as it is, or by steps that need no training part.
local function input_of(where, what, value)
  local number, out = number_of(where, what, value), {}
  if number.op == "formula" then words.fail(where, "%s: a formula cannot go into another; write it in one function", what) end
  if #(number.windows_us or {}) > 1 then
    words.fail(where, "%s must be one number; m.count has %d windows here: give one m.count for each", what, #number.windows_us)
  end
  for _, step in ipairs(number.steps or {}) do
    if step.op == "scale" or step.op == "bucketize" then
      words.fail(where, "%s: m.%s is for what comes out: m.%s(m.lua(...))", what, step.op, step.op)
    end
  end
  for key, field in pairs(number) do out[key] = field end
  out.where, out.steps = number.where or where, number.steps or words.array {}
  out.dim, out.min_count, out.hash = nil, nil, nil
  return out
end

local function of_numbers(where, what, name, given, fn)
  local inputs, names = words.array {}, {}
  words.func(where, what .. ": the function", fn)
  for i, value in ipairs(words.list(where, what .. ": the numbers", given, "a list of numbers such as { m.numeric \"price\" }")) do
    inputs[i] = input_of(where, ("%s: number %d"):format(what, i), value)
    names[i] = inputs[i].name
  end
  if #inputs > 16 then words.fail(where, "%s: at most 16 numbers, got %d", what, #inputs) end
  return feature(where, { op = "formula", name = name, inputs = inputs, code = formula.trace(what, names, fn) })
end

--- What a function says: of each item, m.lua("title_length", function(item) return #item.title end), a number or a text; or of numbers,
--- m.lua("cheapness", { "price", m.count("user", "view", "7d") }, function(price, views) return price / (views + 1) end).
---@overload fun(name: string, fn: (fun(item: moonshelf.Row): number|string|boolean|nil), options?: moonshelf.IdOptions): moonshelf.Feature
---@param name string
---@param numbers moonshelf.Number[]
---@param fn fun(...: moonshelf.Symbol): moonshelf.Symbol
---@return moonshelf.Feature
function features.lua(name, numbers, fn)
  local where = words.where("m.lua")
  words.text(where, "m.lua", name)
  local what = ("m.lua %q"):format(name)
  if type(numbers) == "function" then return (of_items(where, what, name, numbers, fn)) end
  if type(numbers) ~= "table" or words.kind(numbers) then
    words.expect(where, what, "given a function of an item, or a list of numbers and a function of them", numbers)
  end
  return (of_numbers(where, what, name, numbers, fn))
end

return features
