--- gate.lua - m.gate: whether a slot is there for a request, as data that runs in C and that explain can name. A function of ctx does
--- as well.

local words = require "moonshelf.words"

local gate = {}

local function make(where, plan) return words.new("a gate", where, plan) end

--- A parameter of the request that has to be one of some values.
local function one_of(word, name)
  return function(values)
    local where = words.where(word)
    local list = words.strings(where, word, values)
    return make(where, { op = "param", name = name, ["in"] = list, label = ("%s(%s)"):format(name, table.concat(list, ",")) })
  end
end

--- Open where the request's `country` parameter is one of these.
---@type fun(values: moonshelf.Text): moonshelf.Gate
gate.country = one_of("m.gate.country", "country")

--- The same of `device`: "phone", "tablet", "desktop", or whatever your requests say.
---@type fun(values: moonshelf.Text): moonshelf.Gate
gate.device = one_of("m.gate.device", "device")

--- The same of `segment`.
---@type fun(values: moonshelf.Text): moonshelf.Gate
gate.segment = one_of("m.gate.segment", "segment")

--- The same of any parameter.
---@param name string
---@param values moonshelf.Text
---@return moonshelf.Gate
function gate.param(name, values)
  words.text(words.where("m.gate.param"), "m.gate.param: name", name)
  return one_of("m.gate.param", name)(values)
end

--- Open for these variants of an experiment: the request says `experiment.NAME=VARIANT`.
---@param name string
---@param variants moonshelf.Text
---@return moonshelf.Gate
function gate.experiment(name, variants)
  words.text(words.where("m.gate.experiment"), "m.gate.experiment: name", name)
  return one_of("m.gate.experiment", "experiment." .. name)(variants)
end

--- Open for users whom the shop knows.
---@return moonshelf.Gate
function gate.known_user() return make(words.where("m.gate.known_user"), { op = "known", label = "known_user" }) end

--- Open for who is logged in: the request says `login=1` (or true, yes).
---@return moonshelf.Gate
function gate.logged_in()
  local yes = words.array { "1", "true", "yes" }
  return make(words.where("m.gate.logged_in"), { op = "param", name = "login", ["in"] = yes, label = "logged_in" })
end

---------------------------------------------------------------------------------------------------- time

--- Open from `starts` until just before `ends`; either may be left out.
---@param options { starts: string?, ends: string? }
---@return moonshelf.Gate
function gate.between(options)
  local word = "m.gate.between"
  local where = words.where(word)
  local o = words.options(where, word, options, { starts = { words.date }, ends = { words.date } })
  if not o.starts and not o.ends then words.complain(where, "%s: starts or ends is missing", word) end
  if o.starts and o.ends and o.starts >= o.ends then
    words.fail(where, "%s: ends (%s) must be after starts (%s)", word, options.ends, options.starts)
  end
  return make(where, {
    op = "time", starts_us = o.starts, ends_us = o.ends, label = ("between(%s,%s)"):format(options.starts or "", options.ends or ""),
  })
end

local DAYS = { mon = 1, tue = 2, wed = 3, thu = 4, fri = 5, sat = 6, sun = 7 }

local function days(where, what, value)
  return words.each(words.strings(where, what, value), function(_, name)
    local day = DAYS[name:lower():sub(1, 3)]
    if not day then words.expect(where, what, 'days such as "mon" or "sat"', name) end
    return day
  end)
end

--- "09:30" -> microseconds of the day.
local function time_of_day(where, what, value)
  local hours, minutes = tostring(value):match("^(%d%d?):(%d%d)$")
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not hours or minutes > 59 or hours * 60 + minutes > 24 * 60 then
    words.expect(where, what, 'a time of the day such as "09:30"', value)
  end
  return (hours * 60 + minutes) * 60000000
end

local HOURS = {
  from = { time_of_day, default = 0 },
  to = { time_of_day, default = 24 * 3600000000 },
  days = { days },
  zone = { words.zone, default = 0 },
}

--- Open on these days, from `from` until just before `to`; "22:00" to "06:00" goes past midnight. UTC unless a zone is given.
---@param options { from: string?, to: string?, days: moonshelf.Text?, zone: string? }
---@return moonshelf.Gate
function gate.hours(options)
  local word = "m.gate.hours"
  local where = words.where(word)
  local o = words.options(where, word, options, HOURS)
  if o.from == 24 * 3600000000 then words.fail(where, "%s: from must be before 24:00", word) end
  local fixed = type(o.zone) == "number"
  return make(where, {
    op = "hours", from_us = o.from, to_us = o.to, days = words.known(o.days),
    zone_us = fixed and o.zone or nil, zone = not fixed and o.zone or nil,
    label = ("hours(%s-%s)"):format(options.from or "0:00", options.to or "24:00"),
  })
end

---------------------------------------------------------------------------------------------------- stock, and others together

--- Open where all of these items may be shown (none is hidden or out of stock); without items: the item that the page shows.
---@param items? moonshelf.Text
---@return moonshelf.Gate
function gate.in_stock(items)
  local word = "m.gate.in_stock"
  local where = words.where(word)
  return make(where, { op = "stock", items = items ~= nil and words.strings(where, word, items) or nil, label = "in_stock" })
end

--- A gate, or a function of ctx that answers whether it is open.
local function check(where, what, value)
  if type(value) == "function" then return { op = "fn", fn = value, label = "function" } end
  if words.kind(value) ~= "a gate" then
    words.expect(where, what, 'a gate such as m.gate.country "NL", or a function', value)
  end
  return value
end

local function together(op)
  local word = "m.gate." .. op
  return function(gates)
    local where = words.where(word)
    local list = words.each(words.list(where, word, gates, "a list of gates"), function(i, value)
      return check(where, ("%s[%d]"):format(word, i), value)
    end)
    local labels = {}
    for i, one in ipairs(list) do labels[i] = one.label end
    return make(where, { op = op, of = list, label = ("%s(%s)"):format(op, table.concat(labels, ", ")) })
  end
end

--- Open where all of them are.
---@type fun(gates: (moonshelf.Gate|moonshelf.GateFunction)[]): moonshelf.Gate
gate.all = together "all"

--- Open where one of them is.
---@type fun(gates: (moonshelf.Gate|moonshelf.GateFunction)[]): moonshelf.Gate
gate.any = together "any"

--- Open where none of them is.
---@type fun(gates: (moonshelf.Gate|moonshelf.GateFunction)[]): moonshelf.Gate
gate.none = together "none"

---------------------------------------------------------------------------------------------------- the plan

--- What a gate is in the plan; `number` gives a function its number.
local function plan_of(value, number)
  local plan = {}
  for _, key in ipairs { "op", "name", "in", "starts_us", "ends_us", "from_us", "to_us", "days", "zone", "zone_us", "items", "label" } do
    plan[key] = value[key]
  end
  if value.fn then plan.fn = number(value.fn) end
  if value.of then
    plan.of = words.array {}
    for i, part in ipairs(value.of) do plan.of[i] = plan_of(part, number) end
  end
  return plan
end

return { words = words.module("m.gate", gate), check = check, plan = plan_of }
