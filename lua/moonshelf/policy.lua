--- policy.lua - m.policy: the words that reorder and thin out a slate.
---
--- A policy is a table of data for core/page's operators; only p.lua carries a function. Conditions are data too, so that they run in C
--- and that explain can name them. What options an operator has, of what type and within which bounds, is in core's own table
--- (native.operators): the words are made from it, so that they cannot come to differ.

local conditions = require "moonshelf.when"
local native = require "moonshelf.native"
local words = require "moonshelf.words"

local policy = {}

---------------------------------------------------------------------------------------------------- options by their kinds

local function numbers(field)
  return function(where, what, value)
    return words.each(words.list(where, what, value, "a list of numbers"), function(i, x)
      return words.number { min = field.low, max = field.high }(where, ("%s[%d]"):format(what, i), x)
    end)
  end
end

local function turns(where, what, value)
  return words.each(words.list(where, what, value, 'a list such as { "new", "any" }'), function(i, when)
    if when == "any" then return when end
    return conditions(where, ("%s[%d]"):format(what, i), when)
  end)
end

-- A field of core's table -> the check of its option.
local CHECKS = {
  count = function(field) return words.integer(math.tointeger(field.low), math.tointeger(field.high)) end,
  number = function(field) return words.number { min = field.low, max = field.high } end,
  span = function() return words.duration end,
  flag = function() return words.boolean end,
  choice = function(field) return words.one_of(field.names) end,
  text = function() return words.text end,
  column = function() return words.text end,
  likeness = function() return words.text end,
  item = function() return words.text end,
  items = function() return words.strings end,
  kinds = function() return words.strings end,
  numbers = numbers,
  when = function() return conditions end,
  pattern = function() return turns end,
  limits = function() return words.by_column(words.integer(1)) end,
  weights = function() return words.by_column(words.number()) end,
}

local RULE = {
  owner = { words.text },
  reason = { words.text },
  starts = { words.date },
  ends = { words.date },
}

local specs = {} -- by operator

--- The options of a word: those of its operator but the ones that it takes by itself, which are `given` the first time, and those of every
--- policy.
local function spec_of(op, given)
  if specs[op] then return specs[op] end
  local spec = {}
  specs[op] = spec
  for name, rule in pairs(RULE) do spec[name] = rule end
  for _, field in ipairs(native.operators[op]) do
    if not given[field.name] then spec[field.name] = { CHECKS[field.kind](field), required = field.required } end
  end
  return spec
end

---------------------------------------------------------------------------------------------------- making a policy

--- "boost(brand,price)": what the conditions, or else the options, are about.
local function label(op, fields)
  local names, seen = {}, {}
  local function add(name)
    if type(name) == "string" and not seen[name] and #names < 4 then names[#names + 1] = name end
    seen[name] = true
  end
  for _, list in ipairs { fields.when or {}, fields.limits or {}, fields.weights or {} } do
    for _, entry in ipairs(list) do add(entry.column) end
  end
  for _, option in ipairs { "by", "of", "stock", "since" } do
    if fields[option] then add(fields[option]) end
  end
  for _, list in ipairs { fields.items or {}, fields.done or {} } do
    for _, name in ipairs(type(list) == "string" and { list } or list) do add(name) end
  end
  return #names > 0 and ("%s(%s)"):format(op, table.concat(names, ",")) or op
end

--- A policy of an operator; `fields` has what the word took by itself, options come on top. `name` is for its label.
local function make(where, word, name, op, fields, options)
  local o = words.options(where, word, options, spec_of(op, fields))
  if words.known(o.starts) and words.known(o.ends) and o.starts >= o.ends then
    words.fail(where, "%s: ends (%s) must be after starts (%s)", word, options.ends, options.starts)
  end
  for _, field in ipairs(native.operators[op]) do
    local value = words.known(o[field.name])
    if value ~= nil then fields[field.kind == "span" and field.name .. "_us" or field.name] = value end
  end
  fields.owner, fields.reason = words.known(o.owner), words.known(o.reason)
  fields.starts_us, fields.ends_us = words.known(o.starts), words.known(o.ends)
  fields.op, fields.label = op, label(name, fields)
  return words.new("a policy", where, fields)
end

--- A word with nothing but options.
local function word_of(op)
  local word = "m.policy." .. op
  return function(options) return make(words.where(word), word, op, op, {}, options) end
end

---------------------------------------------------------------------------------------------------- what stays

--- Keep only the items that match.
---@param when moonshelf.When
---@param options? moonshelf.RuleOptions
---@return moonshelf.Policy
function policy.filter(when, options)
  local where = words.where("m.policy.filter")
  return make(where, "m.policy.filter", "filter", "filter", { when = conditions(where, "m.policy.filter", when) }, options)
end

--- Drop what matches, what is named, and what the user did something with.
---@type fun(options: moonshelf.ExcludeOptions): moonshelf.Policy
policy.exclude = word_of "exclude"

--- Drop what the user was shown often enough.
---@type fun(options: moonshelf.FrequencyOptions): moonshelf.Policy
policy.frequency = word_of "frequency"

--- Keep at most n items, the best, per value of each column; with `first`, among the first so many.
---@param limits table<string, integer>  { category = 3, brand = 2 }
---@param options? moonshelf.CapOptions
---@return moonshelf.Policy
function policy.cap(limits, options)
  local where = words.where("m.policy.cap")
  return make(where, "m.policy.cap", "cap", "cap", { limits = words.by_column(words.integer(1))(where, "m.policy.cap", limits) }, options)
end

---------------------------------------------------------------------------------------------------- what it is worth

local function weigh(name, limits)
  local word = "m.policy." .. name
  return function(when, factor, options)
    local where = words.where(word)
    local fields = { when = conditions(where, word, when), factor = words.number(limits)(where, word .. ": factor", factor) }
    return make(where, word, name, "boost", fields, options)
  end
end

--- Multiply the score of the items that match.
---@type fun(when: moonshelf.When, factor: number, options?: moonshelf.RuleOptions): moonshelf.Policy
policy.boost = weigh("boost", { above = 0 })

--- The same downwards.
---@type fun(when: moonshelf.When, factor: number, options?: moonshelf.RuleOptions): moonshelf.Policy
policy.bury = weigh("bury", { above = 0, below = 1 })

--- Lift what is new: by a factor that fades with its age.
---@type fun(options: moonshelf.FreshnessOptions): moonshelf.Policy
policy.freshness = word_of "freshness"

--- Lift what there is much of, or has lain long.
---@type fun(options: moonshelf.ClearanceOptions): moonshelf.Policy
policy.clearance = word_of "clearance"

--- Lower what the user did something with, less and less as time goes by.
---@type fun(options: moonshelf.SuppressOptions): moonshelf.Policy
policy.suppress = word_of "suppress"

--- A weighted sum of scores and columns, each brought to 0..1, becomes the score.
---@type fun(options: moonshelf.BlendOptions): moonshelf.Policy
policy.blend = word_of "blend"

--- Order by a column, or by the score once more.
---@type fun(options?: moonshelf.SortOptions): moonshelf.Policy
policy.sort = word_of "sort"

---------------------------------------------------------------------------------------------------- who has which place

--- Give items a place: by number, beside another item, or in the top part.
---@type fun(options: moonshelf.PinOptions): moonshelf.Policy
policy.pin = word_of "pin"

--- So many of the first places for what matches.
---@type fun(options: moonshelf.QuotaOptions): moonshelf.Policy
policy.quota = word_of "quota"

--- Such a share of the first places for what matches.
---@type fun(options: moonshelf.RatioOptions): moonshelf.Policy
policy.ratio = word_of "ratio"

--- Place by place after a pattern of conditions, again and again.
---@type fun(options: moonshelf.PatternOptions): moonshelf.Policy
policy.pattern = word_of "pattern"

--- Bands of a number, each with its share of the first places.
---@type fun(options: moonshelf.MixOptions): moonshelf.Policy
policy.mix = word_of "mix"

--- The first places earn so much on the mean, by greedy swaps.
---@type fun(options: moonshelf.MarginOptions): moonshelf.Policy
policy.margin = word_of "margin"

--- No more than so many of a value within any so many places.
---@type fun(options: moonshelf.DebunchOptions): moonshelf.Policy
policy.debunch = word_of "debunch"

---------------------------------------------------------------------------------------------------- variety

local function varied(op)
  local word = "m.policy." .. op
  return function(options)
    local made = make(words.where(word), word, op, op, {}, options)
    for _, field in ipairs(native.operators[op]) do -- a plan says all three
      local default = field.kind == "count" and math.tointeger(field.fallback) or field.text or field.fallback
      if made[field.name] == nil then made[field.name] = default end
    end
    made.label = ("%s(%s)"):format(op, made.by)
    return made
  end
end

--- Maximal marginal relevance (Carbonell & Goldstein 1998): variety among the first k.
---@type fun(options?: moonshelf.VarietyOptions): moonshelf.Policy
policy.mmr = varied "mmr"

--- A determinantal point process, greedily (Chen, Zhang & Zhou 2018): variety of the first k as a set.
---@type fun(options?: moonshelf.VarietyOptions): moonshelf.Policy
policy.dpp = varied "dpp"

--- The mix of the user's past in the first places (Steck 2018).
---@type fun(options: moonshelf.CalibrateOptions): moonshelf.Policy
policy.calibrate = word_of "calibrate"

---------------------------------------------------------------------------------------------------- chance

--- The best, and now and then anything else.
---@type fun(options?: moonshelf.EpsilonOptions): moonshelf.Policy
policy.epsilon = word_of "epsilon"

--- Plackett and Luce's order: each place drawn by the scores.
---@type fun(options?: moonshelf.SampleOptions): moonshelf.Policy
policy.sample = word_of "sample"

--- Thompson sampling by counts of successes and trials.
---@type fun(options: moonshelf.ThompsonOptions): moonshelf.Policy
policy.thompson = word_of "thompson"

--- LinUCB over the items' embeddings, learned from the user's last items.
---@type fun(options: moonshelf.LinucbOptions): moonshelf.Policy
policy.linucb = word_of "linucb"

---------------------------------------------------------------------------------------------------- your own

--- A policy of your own.
---@param fn fun(slate: moonshelf.Slate, ctx: moonshelf.Ctx)
---@return moonshelf.Policy
function policy.lua(fn)
  local where = words.where("m.policy.lua")
  local info = debug.getinfo(words.func(where, "m.policy.lua", fn), "S")
  return words.new("a policy", where, { op = "lua", fn = fn, label = ("lua(%s:%d)"):format(info.short_src, info.linedefined) })
end

return words.module("m.policy", policy)
