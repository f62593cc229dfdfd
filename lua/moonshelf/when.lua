--- when.lua - conditions on an item's columns, as policies and sources take them: data, so that they run in C and explain can name them.

local words = require "moonshelf.words"

local OPERATORS = { "lt", "le", "gt", "ge", "eq", "ne", "has" }
local OF_TEXTS = { eq = true, ne = true, has = true }

local function scalar(where, what, value)
  if type(value) == "string" or (type(value) == "number" and value - value == 0) then return value end
  words.expect(where, what, "a string or a number", value)
end

--- column op value; or what m.request gives in the place of the value.
local function condition(where, what, column, op, value)
  local asked = words.kind(value) == "a value of the request"
  local given = value
  if asked then given = value.default end
  if not asked then scalar(where, what, given) end
  if type(given) == "string" and not OF_TEXTS[op] then words.expect(where, what, "a number", given) end
  if type(given) == "number" and op == "has" then words.expect(where, what, "a string", given) end
  if not asked then return { column = column, op = op, value = given } end
  return { column = column, op = op, param = value.param, default = given, optional = value.optional }
end

local function compare(where, what, column, operators, out)
  for _, op in ipairs(words.keys(operators)) do
    words.one_of(OPERATORS)(where, what, op)
    out[#out + 1] = condition(where, what .. "." .. op, column, op, operators[op])
  end
end

local function one_of(where, what, column, values, out)
  local list = words.array {}
  for i, value in ipairs(words.list(where, what, values, "a value, a list of values, or { lt = 20 }")) do
    list[i] = scalar(where, ("%s[%d]"):format(what, i), value)
    if type(list[i]) ~= type(list[1]) then words.fail(where, "%s mixes strings and numbers", what) end
  end
  out[#out + 1] = { column = column, op = "in", value = list }
end

--- A `when`: "new" or { brand = "Acme", category = { "a", "b" }, price = { lt = 20 } } -> conditions that must all hold.
---@param where string
---@param word string  "m.policy.filter"
---@param when moonshelf.When
---@return table
local function conditions(where, word, when)
  local what = word .. ": when"
  local out = words.array {}
  if type(when) == "string" and when ~= "" then
    out[1] = { column = when, op = "truthy" }
    return out
  end
  if type(when) ~= "table" or words.kind(when) then
    words.expect(where, what, 'a column\'s name or a table such as { brand = "Acme", price = { lt = 20 } }', when)
  end
  for _, column in ipairs(words.keys(when)) do
    local name, value = ("%s.%s"):format(what, tostring(column)), when[column]
    if type(column) ~= "string" then
      words.fail(where, '%s: conditions are written column = value, got %s', what, words.describe(value))
    elseif value == true then
      out[#out + 1] = { column = column, op = "truthy" }
    elseif type(value) ~= "table" or words.kind(value) then
      out[#out + 1] = condition(where, name, column, "eq", value)
    elseif #value > 0 or next(value) == nil then
      one_of(where, name, column, value, out)
    else
      compare(where, name, column, value, out)
    end
  end
  if #out == 0 then words.fail(where, "%s must not be empty", what) end
  return out
end

return conditions
