--- words.lua - the machinery that all words share: where a word stands in the user's file, and checks that say what is wrong there.
---
--- One idea: every word is a plain table of its kind with `where` ("recipe.lua:12"), and every check that fails raises an error that
--- begins with such a place, so that a user reads the line of their own script and never one of ours.

local native = require "moonshelf.native"

local words = {}

words.nearest = native.nearest --- (name, list of names) -> the nearest by edit distance, or nil
words.array = native.array --- marks a table as a JSON array, so that an empty one stays []

---------------------------------------------------------------------------------------------------- places and errors

--- File and line of the user's code that called us: the first frame that is neither C nor ours.
---@return string?
function words.here()
  local level = 2
  while true do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    if info.currentline > 0 and info.source:sub(1, 11) ~= "=moonshelf/" then
      return info.short_src .. ":" .. info.currentline
    end
    level = level + 1
  end
end

-- Where each word was last looked up: a tail call (`return m.site { ... }`) leaves no frame of its caller behind.
local last_use = {}

--- The place of the call of `word` ("m.site"); to be called by the word itself.
---@param word string
---@return string
function words.where(word)
  local lost = debug.getinfo(2, "t").istailcall and last_use[word]
  return lost or words.here() or last_use[word] or "script"
end

--- The place of one option of the word that stands at `where`, or `where` itself where it cannot be told.
---@param where string
---@param option any
---@return string
function words.option_place(where, option)
  local file, line = where:match("^(.+):(%d+)$")
  local at = file and type(option) == "string" and native.option_line(file, option, math.tointeger(line))
  return at and file .. ":" .. at or where
end

--- Raise an error at a place, on one line.
---@param where string
---@param format string
function words.fail(where, format, ...)
  local message = format:format(...):gsub("\\?\r?\n", "\\n") -- %q writes a newline as "\" and a newline
  error(where .. ": " .. message, 0)
end

--- "; did you mean 'x'?", or the list of what there is.
---@param name any
---@param known string[]
---@return string
function words.hint(name, known)
  local near = type(name) == "string" and native.nearest(name, known)
  if near then return ("; did you mean '%s'?"):format(near) end
  if #known == 0 then return "" end
  return (" (known: %s)"):format(table.concat(known, ", "))
end

--- The keys of a table, sorted by their text.
---@param t table
---@return any[]
function words.keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

---------------------------------------------------------------------------------------------------- kinds of words

local kind_of = setmetatable({}, { __mode = "k" })

--- Make a word: a plain table of a kind.
---@param kind string  "a feature", "a policy": with its article, for messages
---@param where string
---@param fields table
---@return table
function words.new(kind, where, fields)
  fields.where = where
  kind_of[fields] = kind
  return fields
end

---@param value any
---@return string?
function words.kind(value)
  return kind_of[value]
end

--- A string in quotes, not too long.
---@param text string
---@return string
function words.quote(text)
  if #text > 40 then text = text:sub(1, 37) .. "..." end
  return ("%q"):format(text)
end

--- What a value is, for "expected ..., got ...".
---@param value any
---@return string
function words.describe(value)
  local kind = type(value)
  if kind_of[value] then return kind_of[value] end
  if kind == "nil" then return "nothing" end
  if kind == "string" then return "the string " .. words.quote(value) end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  return "a " .. kind
end

--- A word that is not whole yet: m.csv "x" still wants its columns. Calling it goes on; using it says what is missing.
---@param kind string
---@param continue fun(argument: any): any
---@return table
function words.pending(kind, continue)
  local pending = setmetatable({}, { __call = function(_, argument) return continue(argument) end })
  kind_of[pending] = kind
  return pending
end

---------------------------------------------------------------------------------------------------- checks of values
-- A check is a function (where, what, value) -> value. It raises where the value does not fit.

--- Raise "expected".
---@param where string
---@param what string
---@param expected string
---@param value any
function words.expect(where, what, expected, value)
  words.fail(where, "%s must be %s, got %s", what, expected, words.describe(value))
end

---@param low integer
---@param high? integer
function words.integer(low, high)
  local expected = high and ("a whole number from %d to %d"):format(low, high) or ("a whole number, %d or more"):format(low)
  return function(where, what, value)
    local whole = type(value) == "number" and math.tointeger(value)
    if not whole or whole < low or (high and whole > high) then words.expect(where, what, expected, value) end
    return whole
  end
end

--- A finite number; `limits` may have above, below (exclusive), min, max (inclusive).
---@param limits? { above: number?, below: number?, min: number?, max: number? }
function words.number(limits)
  limits = limits or {}
  local parts = {}
  if limits.above then parts[#parts + 1] = "above " .. limits.above end
  if limits.min then parts[#parts + 1] = "at least " .. limits.min end
  if limits.below then parts[#parts + 1] = "below " .. limits.below end
  if limits.max then parts[#parts + 1] = "at most " .. limits.max end
  local expected = "a number" .. (#parts > 0 and " " .. table.concat(parts, " and ") or "")
  return function(where, what, value)
    local fits = type(value) == "number" and value - value == 0 and not (limits.above and value <= limits.above)
      and not (limits.below and value >= limits.below) and not (limits.min and value < limits.min)
      and not (limits.max and value > limits.max)
    if not fits then words.expect(where, what, expected, value) end
    return value + 0.0 -- always a real in the plan's JSON
  end
end

function words.text(where, what, value)
  if type(value) ~= "string" then words.expect(where, what, "a string", value) end
  if value == "" then words.fail(where, "%s must not be the empty string", what) end
  return value
end

function words.boolean(where, what, value)
  if type(value) ~= "boolean" then words.expect(where, what, "true or false", value) end
  return value
end

function words.func(where, what, value)
  if type(value) ~= "function" then words.expect(where, what, "a function", value) end
  return value
end

--- One of a few names.
---@param names string[]
function words.one_of(names)
  return function(where, what, value)
    for _, name in ipairs(names) do
      if value == name then return value end
    end
    if type(value) ~= "string" then words.expect(where, what, "one of " .. table.concat(names, ", "), value) end
    words.fail(where, "%s: there is no %s%s", what, words.quote(value), words.hint(value, names))
  end
end

--- A plain list (1, 2, 3, ... and nothing else), not empty.
---@param where string
---@param what string
---@param value any
---@param expected? string
---@return any[]
function words.list(where, what, value, expected)
  expected = expected or "a list"
  if type(value) ~= "table" or kind_of[value] then words.expect(where, what, expected, value) end
  local count = 0
  for key in pairs(value) do
    count = count + 1
    if math.type(key) ~= "integer" or key < 1 or key > #value then
      words.fail(where, "%s must be %s, but has the key '%s'", what, expected, tostring(key))
    end
  end
  if count ~= #value then words.fail(where, "%s has a hole (nil) in it; is a name misspelt?", what) end
  if count == 0 then words.fail(where, "%s must not be empty", what) end
  return value
end

--- A string or a list of strings, each once -> list.
function words.strings(where, what, value)
  if type(value) == "string" then value = { value } end
  local out, seen = words.array {}, {}
  for i, text in ipairs(words.list(where, what, value, "a string or a list of strings")) do
    words.text(where, ("%s[%d]"):format(what, i), text)
    if seen[text] then words.fail(where, "%s names '%s' twice", what, text) end
    seen[text] = true
    out[i] = text
  end
  return out
end

--- "24h" -> microseconds.
function words.duration(where, what, value)
  local micros = type(value) == "string" and native.duration(value)
  if not micros or micros <= 0 then
    words.expect(where, what, 'a duration such as "90s", "30m", "24h", "7d" or "2w"', value)
  end
  return micros
end

--- "2026-11-24" or "2026-11-24T10:00:00Z" -> microseconds UTC.
function words.date(where, what, value)
  local micros = type(value) == "string" and native.time(value)
  if not micros then words.expect(where, what, 'a date such as "2026-11-24" or "2026-11-24T10:00:00Z"', value) end
  return micros
end

---------------------------------------------------------------------------------------------------- option tables

--- A default as a value of its own: what one word got must not be another's.
local function fresh(default)
  if type(default) ~= "table" then return default end
  return words.array(table.move(default, 1, #default, 1, {}))
end

--- Check a table of options against a spec { key = { check, default = , required = } }; a default that is a table is a list.
---@param where string
---@param what string    "m.id \"user\""
---@param given any
---@param spec table<string, table>
---@return table
function words.options(where, what, given, spec)
  if given == nil then given = {} end
  if type(given) ~= "table" or kind_of[given] then words.expect(where, what, "given a table of options", given) end
  local known = words.keys(spec)
  for _, key in ipairs(words.keys(given)) do
    if spec[key] == nil then
      words.fail(words.option_place(where, key), "%s: unknown option '%s'%s", what, tostring(key), words.hint(key, known))
    end
  end
  local out = {}
  for _, key in ipairs(known) do
    local rule, value = spec[key], given[key]
    if value == nil then
      if rule.required then words.fail(where, "%s: '%s' is missing", what, key) end
      value = fresh(rule.default)
    else
      value = rule[1](words.option_place(where, key), what .. ": " .. key, value)
    end
    out[key] = value
  end
  return out
end

---------------------------------------------------------------------------------------------------- modules

--- The read-only face of a table of words: unknown names are errors that name the nearest.
---@generic T: table
---@param path string  "m", "m.policy"
---@param members T
---@return T
function words.module(path, members)
  local face = {}
  return setmetatable(face, {
    __index = function(_, name)
      local value = members[name]
      if value == nil then
        local near = type(name) == "string" and native.nearest(name, words.keys(members))
        words.fail(words.where(path), "there is no word '%s.%s'%s", path, tostring(name),
          near and ("; did you mean '%s.%s'?"):format(path, near) or words.hint(name, words.keys(members)))
      end
      if type(value) == "function" then last_use[path .. "." .. name] = words.here() end
      return value
    end,
    __newindex = function(_, name)
      words.fail(words.where(path), "'%s' is read-only ('%s.%s' cannot be set)", path, path, tostring(name))
    end,
    __pairs = function()
      local copy = {} -- never the members themselves: next's table can be written to
      for name, value in pairs(members) do copy[name] = value end
      return next, copy, nil
    end,
    __name = path,
    __metatable = false,
  })
end

return words
