--- features.lua - the words for features: what the model sees of a user, an item and their past.
---
--- A feature is only named here. core/feature computes it, once for training and serving alike.

local words = require "moonshelf.words"

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
  setmetatable(word, {
    __call = function(_, given) return feature(where, make(words.options(where, what, given, spec))) end,
  })
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
  min_count = { words.integer(1), default = 1 },
}
local ID = {
  dim = EMBEDDING.dim,
  min_count = EMBEDDING.min_count,
  hash = { words.integer(2, 2 ^ 31), default = 0 },
}

--- An embedding of the user's or the item's id.
---@param entity moonshelf.Entity
---@return moonshelf.IdFeature  call it with { dim = 16, min_count = 1, hash = 2^18 }
function features.id(entity)
  local where = words.where("m.id")
  words.one_of(ENTITIES)(where, "m.id", entity)
  return with_options(where, ("m.id %q"):format(entity), ID, function(o)
    return { op = "id", name = entity, entity = entity, dim = o.dim, min_count = o.min_count, hash = o.hash }
  end)
end

--- An embedding of a string column of the items.
---@param column string
---@return moonshelf.CategoryFeature  call it with { dim = 8, min_count = 1 }
function features.category(column)
  local where = words.where("m.category")
  words.text(where, "m.category", column)
  return with_options(where, ("m.category %q"):format(column), EMBEDDING, function(o)
    return { op = "category", name = column, column = column, dim = o.dim, min_count = o.min_count }
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

--- log(1 + x) of a number column of the items: for prices and other long tails.
---@param column string
---@return moonshelf.Feature
function features.log(column)
  local where = words.where("m.log")
  words.text(where, "m.log", column)
  return feature(where, { op = "log", name = column, column = column })
end

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

--- How often an event of these kinds happened to the entity within each window before now; log(1 + n).
---@param entity moonshelf.Entity
---@param kind moonshelf.Text      "view", { "view", "click" } or "any"
---@param windows? moonshelf.Text  { "1h", "7d", "all" }
---@return moonshelf.Feature
function features.count(entity, kind, windows)
  local where = words.where("m.count")
  words.one_of(ENTITIES)(where, "m.count: the first argument", entity)
  local list = kinds(where, "m.count: the event kind", kind)
  return feature(where, {
    op = "count", name = ("count(%s,%s)"):format(entity, kinds_name(list)), entity = entity, kinds = list,
    windows_us = spans(where, windows == nil and "all" or windows),
  })
end

local RATE = {
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
---@param options? { over: string?, prior: number[]? }
---@return moonshelf.Feature
function features.rate(entity, numerator, denominator, options)
  local where = words.where("m.rate")
  words.one_of(ENTITIES)(where, "m.rate: the first argument", entity)
  local top = kinds(where, "m.rate: the numerator", numerator)
  local bottom = kinds(where, "m.rate: the denominator", denominator)
  local o = words.options(where, "m.rate", options, RATE)
  return feature(where, {
    op = "rate", name = ("rate(%s,%s/%s)"):format(entity, kinds_name(top), kinds_name(bottom)), entity = entity,
    numerator = top, denominator = bottom, over_us = o.over, prior = o.prior,
  })
end

local HISTORY = {
  last = { words.integer(1, 1000), default = 50 },
  of = { kinds, default = words.array {} },
}

--- The mean embedding of the user's last items. Shares the table of m.id "item".
---@param of "item"
---@param options? { last: integer?, of: moonshelf.Text? }
---@return moonshelf.Feature
function features.history(of, options)
  local where = words.where("m.history")
  words.one_of { "item" }(where, "m.history", of)
  local o = words.options(where, "m.history", options, HISTORY)
  return feature(where, { op = "history", name = ("history(%s)"):format(of), last = o.last, kinds = o.of })
end

return features
