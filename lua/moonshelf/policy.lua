--- policy.lua - m.policy: the words that reorder and thin out a slate.
---
--- A policy is a table of data for core/page's operators; only p.lua carries a function. Conditions are data too, so that they run in C
--- and that explain can name them.

local words = require "moonshelf.words"

local policy = {}

local OPERATORS = { "lt", "le", "gt", "ge", "eq", "ne" }

---------------------------------------------------------------------------------------------------- conditions

local function scalar(where, what, value)
  if type(value) == "string" or (type(value) == "number" and value - value == 0) then return value end
  words.expect(where, what, "a string or a number", value)
end

local function compare(where, what, column, operators, out)
  for _, op in ipairs(words.keys(operators)) do
    words.one_of(OPERATORS)(where, what, op)
    local value = scalar(where, what .. "." .. op, operators[op])
    if type(value) == "string" and op ~= "eq" and op ~= "ne" then
      words.expect(where, what .. "." .. op, "a number", value)
    end
    out[#out + 1] = { column = column, op = op, value = value }
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
    elseif type(value) ~= "table" then
      out[#out + 1] = { column = column, op = "eq", value = scalar(where, name, value) }
    elseif #value > 0 or next(value) == nil then
      one_of(where, name, column, value, out)
    else
      compare(where, name, column, value, out)
    end
  end
  if #out == 0 then words.fail(where, "%s must not be empty", what) end
  return out
end

--- "boost(brand,price)"
local function label(op, list)
  local names, seen = {}, {}
  for _, entry in ipairs(list) do
    if not seen[entry.column] then names[#names + 1] = entry.column end
    seen[entry.column] = true
  end
  return ("%s(%s)"):format(op, table.concat(names, ","))
end

local function make(where, fields)
  return words.new("a policy", where, fields)
end

---------------------------------------------------------------------------------------------------- the words

local RULE = {
  owner = { words.text },
  reason = { words.text },
  starts = { words.date },
  ends = { words.date },
}

local function weigh(word, op, limits)
  return function(when, factor, options)
    local where = words.where(word)
    local list = conditions(where, word, when)
    factor = words.number(limits)(where, word .. ": factor", factor)
    local o = words.options(where, word, options, RULE)
    if o.starts and o.ends and o.starts >= o.ends then
      words.fail(where, "%s: ends (%s) must be after starts (%s)", word, options.ends, options.starts)
    end
    return make(where, {
      op = "boost", when = list, factor = factor, owner = o.owner, reason = o.reason, starts_us = o.starts, ends_us = o.ends,
      label = label(op, list),
    })
  end
end

--- Multiply the score of the items that match.
---@type fun(when: moonshelf.When, factor: number, options?: moonshelf.RuleOptions): moonshelf.Policy
policy.boost = weigh("m.policy.boost", "boost", { above = 0 })

--- The same downwards.
---@type fun(when: moonshelf.When, factor: number, options?: moonshelf.RuleOptions): moonshelf.Policy
policy.bury = weigh("m.policy.bury", "bury", { above = 0, below = 1 })

--- Keep only the items that match.
---@param when moonshelf.When
---@return moonshelf.Policy
function policy.filter(when)
  local where = words.where("m.policy.filter")
  local list = conditions(where, "m.policy.filter", when)
  return make(where, { op = "filter", when = list, label = label("filter", list) })
end

--- Keep at most n items, the best, per value of each column.
---@param limits table<string, integer>  { category = 3, brand = 2 }
---@return moonshelf.Policy
function policy.cap(limits)
  local where = words.where("m.policy.cap")
  if type(limits) ~= "table" or words.kind(limits) or next(limits) == nil then
    words.expect(where, "m.policy.cap", "a table such as { category = 3 }", limits)
  end
  local list = words.array {}
  for i, column in ipairs(words.keys(limits)) do
    if type(column) ~= "string" then words.fail(where, "m.policy.cap: limits are written column = n") end
    list[i] = { column = column, n = words.integer(1)(where, "m.policy.cap: " .. column, limits[column]) }
  end
  return make(where, { op = "cap", limits = list, label = label("cap", list) })
end

local MMR = {
  lambda = { words.number { min = 0, max = 1 }, default = 0.7 },
  by = { words.text, default = "embedding" },
  k = { words.integer(1, 100000), default = 50 },
}

--- Maximal marginal relevance (Carbonell & Goldstein 1998): variety among the first k.
---@param options? { lambda: number?, by: string?, k: integer? }
---@return moonshelf.Policy
function policy.mmr(options)
  local where = words.where("m.policy.mmr")
  local o = words.options(where, "m.policy.mmr", options, MMR)
  return make(where, { op = "mmr", lambda = o.lambda, by = o.by, k = o.k, label = ("mmr(%s)"):format(o.by) })
end

--- A policy of your own.
---@param fn fun(slate: moonshelf.Slate, ctx: moonshelf.Ctx)
---@return moonshelf.Policy
function policy.lua(fn)
  local where = words.where("m.policy.lua")
  local info = debug.getinfo(words.func(where, "m.policy.lua", fn), "S")
  return make(where, { op = "lua", fn = fn, label = ("lua(%s:%d)"):format(info.short_src, info.linedefined) })
end

return words.module("m.policy", policy)
