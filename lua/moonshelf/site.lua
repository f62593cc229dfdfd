--- site.lua - m.slot, m.page and m.site: pages as lists of slots.

local conditions = require "moonshelf.when"
local gates = require "moonshelf.gate"
local words = require "moonshelf.words"
local native = require "moonshelf.native"

local site = {}

---------------------------------------------------------------------------------------------------- lists of words

--- One word of a kind, or a list of them -> list.
local function list_of(kind, example)
  return function(where, what, value)
    if words.kind(value) == kind then value = { value } end
    local list = words.list(where, what, value, ("%s such as %s, or a list of them"):format(kind, example))
    return words.each(list, function(i, word)
      if words.kind(word) ~= kind then
        words.expect(where, ("%s[%d]"):format(what, i), ("%s such as %s"):format(kind, example), word)
      end
      return word
    end)
  end
end

local sources = list_of("a source", "m.source.popular(200)")
local policies = list_of("a policy", "m.policy.cap { category = 3 }")

local function policy_list(where, what, value)
  if type(value) == "table" and not words.kind(value) and next(value) == nil then return words.array {} end
  return policies(where, what, value)
end

---------------------------------------------------------------------------------------------------- slots

local function rank(where, what, value)
  if type(value) ~= "boolean" and (type(value) ~= "string" or value == "") then
    words.expect(where, what, "true, false or the name of a bundle", value)
  end
  return value and true
end

--- A text or a list of them: the first that can be filled in is the title.
local function titles(where, what, value)
  if type(value) ~= "table" or words.kind(value) then return words.text(where, what, value) end
  return words.each(words.list(where, what, value, "a string or a list of strings"), function(i, text)
    return words.text(where, ("%s[%d]"):format(what, i), text)
  end)
end

--- A source, a list of them, or a list of such lists, which are asked one after the other as long as places are left.
local function stages(where, what, value)
  if type(value) ~= "table" or words.kind(value) then return words.array { sources(where, what, value) } end
  local nested = type(value[1]) == "table" and not words.kind(value[1])
  if next(value) == nil then return words.array {} end
  if not nested then return words.array { sources(where, what, value) } end
  return words.each(words.list(where, what, value, "a list of lists of sources"), function(i, stage)
    local name = ("%s[%d]"):format(what, i)
    if words.kind(stage) then words.expect(where, name, "a list of sources, as the others are", stage) end
    return sources(where, name, stage)
  end)
end

local SLOT = {
  title = { titles },
  take = { words.integer(1, 1000), default = 10 },
  min = { words.integer(0, 1000), default = 1 },
  from = { sources, required = true },
  rank = { rank, default = false },
  rerank = { policy_list, default = words.array {} },
  gate = { gates.check },
  fallback = { stages },
  fixed = { words.boolean, default = false },
}

--- A row of items on a page.
---@param name string
---@return fun(given: moonshelf.SlotOptions): moonshelf.Slot
function site.slot(name)
  local where = words.where("m.slot")
  words.text(where, "m.slot", name)
  local what = ("m.slot %q"):format(name)
  return words.pending(("%s without its { ... }"):format(what), function(given)
    local o = words.options(where, what, given, SLOT)
    if o.min > o.take then words.complain(where, "%s: min (%d) is more than take (%d)", what, o.min, o.take) end
    return words.new("a slot", where, {
      name = name, title = words.known(o.title) or name, take = o.take, min = o.min, sources = o.from, rank = o.rank, policies = o.rerank,
      gate = o.gate, fallback = words.known(o.fallback), fixed = o.fixed,
    })
  end)
end

---------------------------------------------------------------------------------------------------- pages

local ORDER = {
  by = { words.one_of { "score", "affinity" }, required = true },
  column = { words.text },
  first = { words.integer(1, 1000), default = 4 },
}

--- "score", or { by = "affinity", column = "category", first = 4 }.
local function order(where, what, value)
  local o = words.options(where, what, type(value) == "string" and { by = value } or value, ORDER)
  if o.by == "affinity" and not o.column then words.complain(where, '%s: by = "affinity" wants a column', what) end
  return { by = o.by, column = o.column, first = o.first }
end

local FLOOR = {
  when = { conditions, required = true },
  at_least = { words.integer(1, 1000), required = true },
}

local function floors(where, what, value)
  return words.each(words.list(where, what, value, 'a list such as { { when = "new", at_least = 3 } }'), function(i, floor)
    local name = ("%s[%d]"):format(what, i)
    local o = words.options(where, name, floor, FLOOR)
    local columns = {}
    for k, condition in ipairs(words.known(o.when) or {}) do columns[k] = condition.column end
    return { when = o.when, at_least = o.at_least, label = #columns > 0 and table.concat(columns, ",") or name }
  end)
end

local SOLVE = {
  caps = { words.by_column(words.integer(1)) },
  floors = { floors },
  steps = { words.integer(0, 1000000), default = 2000 },
  within_ms = { words.integer(0, 10000), default = 5 },
}

--- true, or { caps = { category = 6 }, floors = { { when = "new", at_least = 3 } }, within_ms = 5 }.
local function solve(where, what, value)
  if value == false then return nil end
  local o = words.options(where, what, value ~= true and value or {}, SOLVE)
  return { caps = words.known(o.caps), floors = words.known(o.floors), steps = o.steps, within_us = o.within_ms * 1000 }
end

local PAGE = {
  solve = { solve },
  dedupe = { words.text },
  fallback = { stages, default = words.array {} },
  exclude_seen = { words.strings },
  order = { order },
}

--- Slots from top to bottom, and the page's own options.
---@param given moonshelf.PageOptions  { m.slot..., dedupe = "item" or a column, fallback = sources, order = "score", ... }
---@return moonshelf.Page
function site.page(given)
  local where = words.where("m.page")
  if type(given) ~= "table" or words.kind(given) then words.expect(where, "m.page", "given a table of slots", given) end
  local given_slots, options, seen, count = {}, {}, {}, 0
  for key, value in pairs(given) do
    if math.type(key) == "integer" then
      count = count + 1
    else
      options[key] = value
    end
  end
  for i = 1, count do
    given_slots[i] = given[i]
    if given[i] == nil then given_slots[i] = false end -- a hole
  end
  local slots = words.each(given_slots, function(i)
    local slot = given[i]
    if words.kind(slot) ~= "a slot" then
      words.expect(where, ("m.page: slot %d"):format(i), 'a slot such as m.slot "hero" { ... }', slot)
    end
    if seen[slot.name] then
      words.complain(slot.where, "there are two slots %q on the page (the first at %s)", slot.name, seen[slot.name])
    end
    seen[slot.name] = slot.where
    return slot
  end)
  local o = words.options(where, "m.page", options, PAGE)
  if count == 0 then words.complain(where, "m.page: a page needs at least one m.slot") end
  return words.keep(words.new("a page", where, {
    slots = slots, dedupe = words.known(o.dedupe), fallback = words.known(o.fallback) or words.array {},
    exclude_seen = words.known(o.exclude_seen), order = words.known(o.order), solve = words.known(o.solve),
  }))
end

---------------------------------------------------------------------------------------------------- the plan

local function source_plans(list)
  local out = words.array {}
  for i, source in ipairs(list) do
    out[i] = {
      type = source.type, n = source.n, at_least = source.at_least, at_most = source.at_most, when = source.when, where = source.where,
    }
  end
  return out
end

local function stage_plans(stages_given)
  if not stages_given then return nil end
  local out = words.array {}
  for i, list in ipairs(stages_given) do out[i] = source_plans(list) end
  return out
end

local function slot_plan(slot, functions)
  local function number(fn)
    functions[#functions + 1] = fn
    return #functions
  end
  local list = words.array {}
  for i, policy in ipairs(slot.policies) do
    local plan = {}
    for key, value in pairs(policy) do plan[key] = value end
    if plan.fn then plan.fn = number(plan.fn) end
    list[i] = plan
  end
  return {
    name = slot.name, title = slot.title, take = slot.take, min = slot.min, sources = source_plans(slot.sources), rank = slot.rank,
    policies = list, gate = slot.gate and gates.plan(slot.gate, number), fallback = stage_plans(slot.fallback), fixed = slot.fixed or nil,
    where = slot.where,
  }
end

--- The pages by surface: { home = m.page {...}, product = m.page {...}, cart = m.page {...} }.
---@param pages table<string, moonshelf.Page>
---@return moonshelf.Result
function site.site(pages)
  local where = words.where("m.site")
  if type(pages) ~= "table" or words.kind(pages) then words.expect(where, "m.site", "given a table of pages", pages) end
  local surfaces, functions = {}, {}
  local function take(surface, page)
    if type(surface) ~= "string" then words.fail(where, "m.site: pages are written surface = m.page { ... }") end
    local place = words.option_place(where, surface)
    if not surface:match("^[%w_-]+$") then
      words.fail(place, "m.site: a surface's name is made of letters, digits, '_' and '-', got %s", words.quote(surface))
    end
    if words.kind(page) ~= "a page" then
      words.expect(place, ("m.site: %s"):format(surface), "a page (m.page { ... })", page)
    end
    local slots = words.array {}
    for i, slot in ipairs(page.slots) do slots[i] = slot_plan(slot, functions) end
    surfaces[surface] = {
      slots = slots, dedupe = page.dedupe, fallback = stage_plans(page.fallback), exclude_seen = page.exclude_seen, order = page.order,
      solve = page.solve,
      where = page.where,
    }
  end
  for _, surface in ipairs(words.keys(pages)) do words.try(take, surface, pages[surface]) end
  if next(pages) == nil then words.fail(where, "m.site: a site needs at least one page") end
  return native.result("site", "site", { version = 1, surfaces = surfaces, where = where }, functions)
end

return site
