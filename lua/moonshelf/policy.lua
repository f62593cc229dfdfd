--- policy.lua - m.policy: the words that reorder and thin out a slate.
---
--- A policy is a table of data for core/page's operators; only p.lua carries a function. Conditions are data too, so that they run in C
--- and that explain can name them.

local conditions = require "moonshelf.when"
local words = require "moonshelf.words"

local policy = {}

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
