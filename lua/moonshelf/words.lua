--- words.lua - the machinery that all words share: where a word stands in the user's file, and checks that say what is wrong there.
---
--- One idea: every word is a plain table of its kind with `where` ("recipe.lua:12"), and every check that fails raises an error that
--- begins with such a place, so that a user reads the line of their own script and never one of ours.
---
--- While `moonshelf check` looks at a script, native.note is there: what fails is noted and the script goes on with a stand-in, which
--- every word takes and says nothing about, so that one mistake is told of once and does not hide the next.

local native = require "moonshelf.native"

local words = {}

words.nearest = native.nearest --- (name, list of names) -> the nearest by edit distance, or nil
words.array = native.array --- marks a table as a JSON array, so that an empty one stays []

---@type fun(level: "error"|"warning", text: string)?
local note = native.note
local pcall = native.pcall or pcall -- a spent budget is not to be caught

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
  local level = 2
  while true do
    local info = debug.getinfo(level, "Slt")
    if not info then return last_use[word] or "script" end
    if info.currentline > 0 and info.source:sub(1, 11) ~= "=moonshelf/" then return info.short_src .. ":" .. info.currentline end
    if info.istailcall and last_use[word] then return last_use[word] end
    level = level + 1
  end
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

---------------------------------------------------------------------------------------------------- failing, and going on

-- What is raised while checking, once its finding is noted.
local FAILED = {}

-- In the place of what failed: whatever the script does with it gives a stand-in again.
local STAND_IN = {}
do
  local function same() return STAND_IN end
  local function no() return false end
  setmetatable(STAND_IN, {
    __name = "moonshelf.stand_in", __metatable = false, __call = same, __newindex = function() end, __lt = no, __le = no,
    __index = function(_, key) return type(key) == "string" and STAND_IN or nil end, -- no list of stand-ins without end
    __len = function() return 0 end, __concat = function() return "?" end, __tostring = function() return "?" end,
    __add = same, __sub = same, __mul = same, __div = same, __idiv = same, __mod = same, __pow = same, __unm = same,
    __band = same, __bor = same, __bxor = same, __shl = same, __shr = same, __bnot = same,
  })
end

local noted, told = 0, {}

local function say(level, where, format, ...)
  local text = where .. ": " .. format:format(...):gsub("\\?\r?\n", "\\n") -- %q writes a newline as "\" and a newline
  if not note then error(text, 0) end
  if level == "error" then noted = noted + 1 end
  if not told[text] then note(level, text) end
  told[text] = true
end

--- Raise an error at a place, on one line.
---@param where string
---@param format string
function words.fail(where, format, ...)
  say("error", where, format, ...)
  error(FAILED, 0)
end

--- The same where the caller can go on: while checking, it does.
---@param where string
---@param format string
function words.complain(where, format, ...) say("error", where, format, ...) end

--- Something that is not wrong, but surely not meant; only a check tells of it.
---@param where string
---@param format string
function words.warn(where, format, ...)
  if note then say("warning", where, format, ...) end
end

words.checking = note ~= nil

--- What stands in for something that is not known.
function words.unknown() return STAND_IN end

--- The value, or nil where it is a stand-in.
---@generic T
---@param value T
---@return T?
function words.known(value)
  if value ~= STAND_IN then return value end
end

--- Whether there is a stand-in in these values or their tables.
local function mentions(seen, ...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if value == STAND_IN then return true end
    if type(value) == "table" and not seen[value] then
      seen[value] = true
      for _, inner in next, value do
        if mentions(seen, inner) then return true end
      end
    end
  end
  return false
end

--- fn(...); while checking a stand-in where that fails.
---@param fn function
function words.try(fn, ...)
  if not note then return fn(...) end
  local before, fine, value = noted, pcall(fn, ...)
  if fine then return value end
  if value ~= FAILED and noted == before and not mentions({}, ...) then error(value, 0) end
  return STAND_IN
end

-- What is worth having although something in it failed: its columns, its slots, and what is still to be called.
local partial = setmetatable({}, { __mode = "k" })

--- A word as the script may call it: while checking, one in which something failed is a stand-in.
---@generic T: function
---@param fn T
---@return T
function words.guard(fn)
  if not note then return fn end
  return function(...)
    local before, value = noted, words.try(fn, ...)
    if noted > before and type(value) == "table" and not partial[value] then return STAND_IN end
    return value
  end
end

--- Mark a word as one that keeps its worth.
---@generic T
---@param word T
---@return T
function words.keep(word)
  partial[word] = true
  return word
end

---------------------------------------------------------------------------------------------------- names

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

local kind_of = setmetatable({ [STAND_IN] = "a stand-in" }, { __mode = "k" })

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

--- What a value is, for "expected ..., got ...". Of a stand-in nothing is to be said.
---@param value any
---@return string
function words.describe(value)
  local kind = type(value)
  if value == STAND_IN then error(FAILED, 0) end -- told of already
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
  local go_on = words.guard(continue)
  local pending = setmetatable({}, { __call = function(_, argument) return go_on(argument) end })
  kind_of[pending] = kind
  return words.keep(pending)
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

-- Lists that lack what failed.
local gaps = setmetatable({}, { __mode = "k" })

--- Whether something of the list is not known, so that what it lacks may be there.
---@param list any
---@return boolean
function words.has_gaps(list) return list == STAND_IN or gaps[list] == true end

--- Each element as check(i, element) gives it; while checking, without those that fail.
---@param list any[]
---@param check fun(i: integer, element: any): any
---@return any[]
function words.each(list, check)
  local out = words.array {}
  for i, element in ipairs(list) do
    local value = element ~= STAND_IN and words.try(check, i, element) or STAND_IN
    if value == STAND_IN then gaps[out] = true else out[#out + 1] = value end
  end
  return out
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
  local seen = {}
  return words.each(words.list(where, what, value, "a string or a list of strings"), function(i, text)
    words.text(where, ("%s[%d]"):format(what, i), text)
    if seen[text] then words.fail(where, "%s names '%s' twice", what, text) end
    seen[text] = true
    return text
  end)
end

--- { category = 3 } -> {{ column = "category", n = 3 }}, by name.
function words.by_column(check)
  return function(where, what, value)
    if type(value) ~= "table" or words.kind(value) or next(value) == nil then
      words.expect(where, what, "a table such as { category = 3 }", value)
    end
    local list = words.array {}
    for i, column in ipairs(words.keys(value)) do
      if type(column) ~= "string" then words.fail(where, "%s: limits are written column = n", what) end
      list[i] = { column = column, n = check(where, what .. ": " .. column, value[column]) }
    end
    return list
  end
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

--- "+01:00" -> microseconds east of UTC; "Europe/Amsterdam" -> its changes and its rule as text, which every machine reads the same.
function words.zone(where, what, value)
  if type(value) ~= "string" then words.expect(where, what, 'a zone such as "+01:00" or "Europe/Amsterdam"', value) end
  local sign, hours, minutes = value:match("^([+-])(%d%d):(%d%d)$")
  if sign and tonumber(hours) < 24 and tonumber(minutes) < 60 then
    return (tonumber(hours) * 60 + tonumber(minutes)) * 60000000 * (sign == "-" and -1 or 1)
  end
  local text, why = native.zone(value)
  if not text then words.fail(where, "%s: %s", what, why) end
  return text
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
      words.complain(words.option_place(where, key), "%s: unknown option '%s'%s", what, tostring(key), words.hint(key, known))
    end
  end
  local out = {}
  for _, key in ipairs(known) do
    local rule, value = spec[key], given[key]
    if value == nil then
      if rule.required then words.complain(where, "%s: '%s' is missing", what, key) end
      value = rule.required and STAND_IN or fresh(rule.default)
    else
      value = words.try(rule[1], words.option_place(where, key), what .. ": " .. key, value)
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
---@param call? function  what it does where it is called itself
---@return T
function words.module(path, members, call)
  local face, guarded = {}, {}
  local guarded_call = call and words.guard(call)
  return setmetatable(face, {
    __index = function(_, name)
      local value = members[name]
      if value == nil then
        local near = type(name) == "string" and native.nearest(name, words.keys(members))
        words.complain(words.where(path), "there is no word '%s.%s'%s", path, tostring(name),
          near and ("; did you mean '%s.%s'?"):format(path, near) or words.hint(name, words.keys(members)))
        return STAND_IN
      end
      if type(value) == "table" then last_use[path .. "." .. name] = words.here() end
      if type(value) ~= "function" then return value end
      last_use[path .. "." .. name] = words.here()
      guarded[name] = guarded[name] or words.guard(value)
      return guarded[name]
    end,
    __newindex = function(_, name)
      words.complain(words.where(path), "'%s' is read-only ('%s.%s' cannot be set)", path, path, tostring(name))
    end,
    __pairs = function()
      local copy = {} -- never the members themselves: next's table can be written to
      for name, value in pairs(members) do copy[name] = value end
      return next, copy, nil
    end,
    __name = path,
    __metatable = false,
    __call = guarded_call and function(_, ...) return (guarded_call(...)) end,
  })
end

return words
