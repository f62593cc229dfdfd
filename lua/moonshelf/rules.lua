--- rules.lua - the words of preprocess: what is thrown away, and what is made of the columns, before events are examples.
---
--- Each word leaves plain data for the core. What it needs of the columns and what it does to them is known here too (EFFECT), so
--- that a recipe can be checked rule by rule without its data.

local words = require "moonshelf.words"
local columns = require "moonshelf.columns"

local rules = {}

local function rule(where, fields)
  return words.new("a rule", where, fields)
end

--- A table { column = value, ... } as a list in the order of its keys.
local function by_column(where, what, given, example, make)
  if type(given) ~= "table" or words.kind(given) then words.expect(where, what, "given a table such as " .. example, given) end
  local list = words.array {}
  for i, name in ipairs(words.keys(given)) do
    if type(name) ~= "string" then
      words.fail(where, "%s is written %s, got %s alone", what, example, words.describe(given[name]))
    end
    list[i] = make(name, given[name], words.option_place(where, name))
  end
  if #list == 0 then words.fail(where, "%s: at least one column", what) end
  return list
end

---------------------------------------------------------------------------------------------------- rows

--- Drop the rows where one of these columns is empty.
---@param names moonshelf.Text
---@return moonshelf.Rule
function rules.drop_missing(names)
  local where = words.where("m.drop_missing")
  return rule(where, { op = "drop_missing", columns = words.strings(where, "m.drop_missing", names) })
end

--- Keep the rows for which the function answers true.
---@param fn fun(row: moonshelf.Row): boolean
---@return moonshelf.Rule
function rules.filter(fn)
  local where = words.where("m.filter")
  return rule(where, { op = "filter", fn = words.func(where, "m.filter", fn) })
end

--- Keep the first of the rows that agree in these columns.
---@param names moonshelf.Text
---@return moonshelf.Rule
function rules.dedupe(names)
  local where = words.where("m.dedupe")
  return rule(where, { op = "dedupe", columns = words.strings(where, "m.dedupe", names) })
end

local K_CORE = { user = { words.integer(1) }, item = { words.integer(1) } }

--- Keep the users with so many events on items with so many events: m.k_core { user = 5, item = 5 }.
---@param least { user: integer?, item: integer? }
---@return moonshelf.Rule
function rules.k_core(least)
  local where = words.where("m.k_core")
  local o = words.options(where, "m.k_core", least, K_CORE)
  if not o.user and not o.item then words.fail(where, "m.k_core: give user, item or both, such as { user = 5, item = 5 }") end
  return rule(where, { op = "k_core", user = o.user, item = o.item })
end

local BOTS = { over = { words.duration, required = true }, most = { words.integer(1), required = true } }

--- Drop the users who ever did more than `most` things within `over`: m.bots { over = "1m", most = 60 }.
---@param options { over: string, most: integer }
---@return moonshelf.Rule
function rules.bots(options)
  local where = words.where("m.bots")
  local o = words.options(where, "m.bots", options, BOTS)
  return rule(where, { op = "bots", over_us = o.over, most = o.most })
end

---------------------------------------------------------------------------------------------------- columns

--- Add or replace a column by a function of the row.
---@param name string
---@return fun(fn: fun(row: moonshelf.Row): number|string|boolean|nil): moonshelf.Rule
function rules.map(name)
  local where = words.where("m.map")
  words.text(where, "m.map", name)
  local what = ("m.map %q"):format(name)
  return words.pending(what .. " without its function", function(fn)
    return rule(where, { op = "map", column = name, fn = words.func(where, what, fn) })
  end)
end

--- Put a value where there is none: m.fill { price = 0, brand = "unknown", age = "median" }.
---@param values table<string, number|string>
---@return moonshelf.Rule
function rules.fill(values)
  local where = words.where("m.fill")
  local list = by_column(where, "m.fill", values, '{ price = 0, brand = "unknown" }', function(name, value, place)
    local what = "m.fill: " .. name
    if type(value) == "number" then words.number()(place, what, value)
    elseif type(value) ~= "string" then words.expect(place, what, 'a number, a text, "mean" or "median"', value)
    else words.text(place, what, value) end
    return { column = name, value = value }
  end)
  return rule(where, { op = "fill", values = list })
end

local TYPE = words.one_of { "string", "number", "integer", "time", "time_s", "time_ms", "time_us" }

--- Read columns as another type: m.cast { rating = "number" }.
---@param types table<string, string>
---@return moonshelf.Rule
function rules.cast(types)
  local where = words.where("m.cast")
  local list = by_column(where, "m.cast", types, '{ rating = "number" }', function(name, kind, place)
    return { column = name, type = TYPE(place, "m.cast: " .. name, kind) }
  end)
  return rule(where, { op = "cast", types = list })
end

--- Give columns other names: m.rename { new = "old" }.
---@param names table<string, string>
---@return moonshelf.Rule
function rules.rename(names)
  local where = words.where("m.rename")
  local seen = {}
  local list = by_column(where, "m.rename", names, '{ new = "old" }', function(name, old, place)
    words.text(place, "m.rename: " .. name, old)
    if seen[old] then words.fail(place, "m.rename: '%s' is renamed twice", old) end
    seen[old] = true
    return { column = old, to = name }
  end)
  return rule(where, { op = "rename", names = list })
end

local CLIP = { min = { words.number() }, max = { words.number() } }

--- Bring the numbers of a column within bounds: m.clip("price", { min = 0, max = 1000 }).
---@param column string
---@param bounds { min: number?, max: number? }
---@return moonshelf.Rule
function rules.clip(column, bounds)
  local where = words.where("m.clip")
  words.text(where, "m.clip", column)
  local what = ("m.clip %q"):format(column)
  local o = words.options(where, what, bounds, CLIP)
  if not o.min and not o.max then words.fail(where, "%s: give min, max or both", what) end
  if o.min and o.max and o.min > o.max then words.fail(where, "%s: min %g is above max %g", what, o.min, o.max) end
  return rule(where, { op = "clip", column = column, min = o.min, max = o.max })
end

--- Say of which zone the times are that name none: m.time_zone { time = "Europe/Amsterdam" }.
---@param zones table<string, string>
---@return moonshelf.Rule
function rules.time_zone(zones)
  local where = words.where("m.time_zone")
  local list = by_column(where, "m.time_zone", zones, '{ time = "Europe/Amsterdam" }', function(name, zone, place)
    return { column = name, zone = words.text(place, "m.time_zone: " .. name, zone) }
  end)
  return rule(where, { op = "time_zone", zones = list })
end

--- Add the column `session`: a user's events with no gap longer than this are one: m.sessionize "30m".
---@param gap string
---@return moonshelf.Rule
function rules.sessionize(gap)
  local where = words.where("m.sessionize")
  return rule(where, { op = "sessionize", gap_us = words.duration(where, "m.sessionize", gap) })
end

local JOIN = { on = { words.text, required = true }, columns = { words.strings } }

--- Add columns of another table: m.join(users, { on = "user", columns = { "country" } }).
---@param other moonshelf.Table
---@param options { on: string, columns: moonshelf.Text? }
---@return moonshelf.Rule
function rules.join(other, options)
  local where = words.where("m.join")
  if words.kind(other) ~= "a table" then words.expect(where, "m.join", 'given a table (m.csv "users.csv" { ... })', other) end
  local o = words.options(where, "m.join", options, JOIN)
  return rule(where, { op = "join", source = other, on = o.on, columns = o.columns })
end

---------------------------------------------------------------------------------------------------- rules one after the other

local function word_of(r) return "m." .. r.op end

local function need_each(key)
  return function(r, set)
    for _, entry in ipairs(r[key]) do columns.need(set, r.where, word_of(r), type(entry) == "string" and entry or entry.column) end
  end
end

--- A gap of time within what a user did.
local function need_times(r, set)
  columns.want(set, r.where, word_of(r), "user", "string")
  columns.want(set, r.where, word_of(r), "time", "time")
end

local function fill(r, set)
  for _, entry in ipairs(r.values) do
    local mean = entry.value == "mean" or entry.value == "median"
    columns.want(set, r.where, word_of(r), entry.column, (mean or type(entry.value) == "number") and "number" or "string")
  end
end

local function rename(r, set)
  local kinds = {}
  need_each "names"(r, set)
  for i, entry in ipairs(r.names) do
    kinds[i] = set.types[entry.column] or "any"
    set.types[entry.column] = nil
  end
  for i, entry in ipairs(r.names) do columns.add(set, r.where, word_of(r), entry.to, kinds[i]) end
end

local function join(r, set)
  local theirs = columns.of(r.source, "the table")
  local lead = ("%q has"):format(type(r.source.file) == "string" and r.source.file or "the table")
  columns.want(set, r.where, word_of(r), r.on, "string")
  columns.need(theirs, r.where, word_of(r), r.on, lead)
  for _, name in ipairs(r.columns or words.keys(theirs.types)) do
    columns.need(theirs, r.where, word_of(r), name, lead)
    if name ~= r.on then columns.add(set, r.where, word_of(r), name, theirs.types[name] or "any") end
  end
end

--- What each rule does to the columns, and what it wants of them.
local EFFECT = {
  drop_missing = need_each "columns",
  dedupe = need_each "columns",
  fill = fill,
  cast = function(r, set)
    need_each "types"(r, set)
    for _, entry in ipairs(r.types) do set.types[entry.column] = columns.type_of(entry.type) end
  end,
  time_zone = function(r, set)
    for _, entry in ipairs(r.zones) do columns.want(set, r.where, word_of(r), entry.column, "time") end
  end,
  clip = function(r, set) columns.want(set, r.where, word_of(r), r.column, "number") end,
  k_core = function(r, set)
    columns.want(set, r.where, word_of(r), "user", "string")
    columns.want(set, r.where, word_of(r), "item", "string")
  end,
  bots = need_times,
  filter = function() end,
  map = function(r, set) set.types[r.column] = "any" end,
  sessionize = function(r, set)
    need_times(r, set)
    columns.add(set, r.where, word_of(r), "session", "number")
  end,
  rename = rename,
  join = join,
}

--- Walk the rules in order: each may use the columns of the file and those that rules before it made. Changes `set`.
---@param list moonshelf.Rule[]
---@param set moonshelf.ColumnSet
function rules.check(list, set)
  for _, r in ipairs(list) do EFFECT[r.op](r, set) end
end

return rules
