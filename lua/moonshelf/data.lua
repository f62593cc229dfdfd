--- data.lua - the words for tables and labels: what is read, and what counts as a success.

local tasks = require "moonshelf.tasks"
local words = require "moonshelf.words"

local data = {}

---------------------------------------------------------------------------------------------------- files

local TYPES = { "string", "number", "integer", "time", "time_s", "time_ms", "time_us" }

--- "price:number" -> from "price", type "number". A header may itself hold colons; only what follows the last one is a type.
local function column(where, what, name, header)
  words.text(where, ("%s: column '%s'"):format(what, name), header)
  local place = words.option_place(where, name)
  local told = words.checking and place or nil -- for what the data will say of it
  local from, kind = header:match("^(.+):([^:]*)$")
  if not from then return { name = name, from = header, where = told } end
  local known = words.try(words.one_of(TYPES), place, ("%s: column '%s': type"):format(what, name), kind)
  return { name = name, from = from, type = words.known(known), where = told }
end

local FILE = { missing = { words.strings } }

--- One file or a list of them, for messages: "a.csv", or "a.csv" and 2 more.
local function files_text(list)
  return #list == 1 and ("%q"):format(list[1]) or ("%q and %d more"):format(list[1], #list - 1)
end

local function column_list(where, what, columns)
  if type(columns) ~= "table" or words.kind(columns) then
    words.expect(where, what, 'given a table of columns such as { user = "user_id" }', columns)
  end
  local names = words.keys(columns)
  local list = words.each(names, function(_, name)
    if type(name) ~= "string" then
      words.fail(where, '%s: columns are written name = "header", got %s alone', what, words.describe(columns[name]))
    end
    return column(where, what, name, columns[name])
  end)
  if #names == 0 then words.fail(where, "%s: at least one column", what) end
  return list
end

--- A word for text files. fields: what the plan says beside files and columns.
local function reader(word, fields)
  return function(files, options)
    local where = words.where(word)
    local list = words.strings(where, word, files)
    local what = word .. " " .. files_text(list)
    local missing = words.options(where, what, options, FILE).missing
    return words.pending(what .. " without its columns", function(columns)
      return words.keep(words.new("a table", where, {
        file = #list == 1 and list[1] or list, format = fields.format, delimiter = fields.delimiter,
        columns = column_list(where, what, columns), missing = words.known(missing),
      }))
    end)
  end
end

---@alias moonshelf.Columns table<string, string>
---@alias moonshelf.TableOptions { missing: moonshelf.Text? }
---@alias moonshelf.Reader fun(files: moonshelf.Text, options?: moonshelf.TableOptions): fun(columns: moonshelf.Columns): moonshelf.Table

--- A file of comma-separated values: m.csv "events.csv" { user = "user_id", price = "price:number" }.
--- Several: m.csv { "a.csv", "b.csv" } { ... }, m.csv "events-*.csv" { ... }.
--- Texts that mean "no value" beside the empty one: m.csv("items.csv", { missing = { "NA", "unknown" } }) { ... }.
---@type moonshelf.Reader
data.csv = reader("m.csv", { delimiter = "," })

--- The same with tabs.
---@type moonshelf.Reader
data.tsv = reader("m.tsv", { delimiter = "\t" })

--- JSON Lines: m.jsonl "events.jsonl" { user = "user.id", price = "price:number" }; a dot leads into an object.
---@type moonshelf.Reader
data.jsonl = reader("m.jsonl", { format = "jsonl" })

---------------------------------------------------------------------------------------------------- databases

--- What is to be read, taken out of the table of columns: a table's name or a query.
local function take_query(where, what, given)
  if type(given) ~= "table" or words.kind(given) then
    words.expect(where, what, 'given { table = "events", user = "user_id" }', given)
  end
  if (given.table == nil) == (given.query == nil) then words.fail(where, "%s: either table = or query = is needed", what) end
  local key = given.table ~= nil and "table" or "query"
  local text, columns = words.text(where, ("%s: %s"):format(what, key), given[key]), {}
  for name, header in pairs(given) do
    if name ~= key then columns[name] = header end
  end
  return key, text, columns
end

local function database(word, format)
  return function(file, options)
    local where = words.where(word)
    words.text(where, word, file)
    local what = format == "sqlite" and ("%s %q"):format(word, file) or word
    local missing = words.options(where, what, options, FILE).missing
    return words.pending(what .. " without its columns", function(given)
      local key, text, columns = take_query(where, what, given)
      return words.keep(words.new("a table", where,
        { file = file, format = format, [key] = text, columns = column_list(where, what, columns), missing = words.known(missing) }))
    end)
  end
end

---@alias moonshelf.Database fun(name: string, options?: moonshelf.TableOptions): fun(columns: moonshelf.Columns): moonshelf.Table

--- A table or a query of an SQLite database: m.sqlite "shop.db" { table = "events", user = "user_id", time = "at:time_s" }.
---@type moonshelf.Database
data.sqlite = database("m.sqlite", "sqlite")

--- The same of PostgreSQL: m.postgres "host=db dbname=shop" { query = "select ...", user = "user_id" }.
---@type moonshelf.Database
data.postgres = database("m.postgres", "postgres")

---------------------------------------------------------------------------------------------------- labels

local SAMPLING = {
  by = { words.one_of { "uniform", "popularity", "batch" }, default = "uniform" },
  power = { words.number { min = 0, max = 10 } }, unseen = { words.boolean },
}

--- negatives = 4, { 4, by = "popularity", power = 0.75 }, { 4, by = "batch" } or { 4, unseen = true } -> { each, sampling }; evenly, and
--- whatever the user chose, is no word in the plan.
local function negatives(where, what, value)
  local each, options = value, {}
  if type(value) == "table" and not words.kind(value) then
    each = value[1]
    for key, option in pairs(value) do
      if key ~= 1 then options[key] = option end
    end
  end
  each = words.integer(0, 1000)(where, what, each)
  local o = words.options(where, what, options, SAMPLING)
  if o.by ~= "popularity" and o.power then words.fail(where, '%s: power is for by = "popularity"', what) end
  local unseen = o.unseen or nil
  if o.by == "uniform" and not unseen then return { each = each } end
  return { each = each, sampling = { by = o.by, power = o.by == "popularity" and (o.power or 0.75) or nil, unseen = unseen } }
end

local BY_EVENT = {
  positive = { words.strings, required = true },
  of = { words.strings, required = true },
  within = { words.duration, required = true },
  negatives = { negatives },
}
local BY_COLUMN = {
  column = { words.text, required = true },
  at_least = { words.number(), required = true },
  negatives = BY_EVENT.negatives,
}
local EITHER = { positive = true, of = true, within = true, column = true, at_least = true, negatives = true }

local function finish(where, fields, drawn)
  fields.negatives, fields.sampling = drawn and drawn.each or 0, drawn and drawn.sampling
  return tasks.note(words.new("a label", where, fields))
end

--- What counts as a success: { positive = "purchase", of = "view", within = "24h" } or { column = "rating", at_least = 4 }.
---@param options moonshelf.LabelOptions
---@return moonshelf.Label
function data.label(options)
  local where = words.where("m.label")
  if type(options) ~= "table" or words.kind(options) then
    words.expect(where, "m.label", "given { positive=, of=, within= } or { column=, at_least= }", options)
  end
  for _, key in ipairs(words.keys(options)) do
    if not EITHER[key] then
      words.fail(words.option_place(where, key), "m.label: unknown option '%s'%s", tostring(key), words.hint(key, words.keys(EITHER)))
    end
  end
  if options.column ~= nil or options.at_least ~= nil then
    local o = words.options(where, "m.label", options, BY_COLUMN)
    return finish(where, { column = o.column, at_least = o.at_least }, o.negatives)
  end
  local o = words.options(where, "m.label", options, BY_EVENT)
  return finish(where, { positive = o.positive, of = o.of, within_us = o.within }, o.negatives)
end

return data
