-- m.source: where candidates come from.
local t = require "harness"
local m = require "moonshelf"

t.test("each source has a kind and a number", function()
  for _, kind in ipairs { "popular", "trending", "similar", "recent", "nearest" } do
    local source = t.slot { from = m.source[kind](7) }.sources[1]
    t.has(source, { type = kind, n = 7 })
    assert(source.where:match("^test_source%.lua:%d+$"))
    t.has(t.slot { from = m.source[kind]() }.sources[1], { n = 100 })
  end
end)

t.test("a slot takes one source or a list, in order", function()
  local slot = t.slot { from = { m.source.recent(1), m.source.popular(2), m.source.similar(3) } }
  local kinds = {}
  for i, source in ipairs(slot.sources) do kinds[i] = source.type .. "=" .. math.tointeger(source.n) end
  t.equal(kinds, { "recent=1", "popular=2", "similar=3" })
end)

t.test("a source says what is wrong with it", function()
  t.fails(function() m.source.popular(0) end, "m.source.popular must be a whole number from 1 to 100000, got 0")
  t.fails(function() m.source.recent(2.5) end, "got 2.5")
  t.fails(function() m.source.similar "many" end, 'got the string "many"')
  t.fails(function() m.source.trendig(5) end, "did you mean 'm.source.trending'?")
end)

t.test("a source may have a quota, and the nearest one conditions", function()
  t.has(t.slot { from = m.source.popular(50, { at_least = 2, at_most = 5 }) }.sources[1], { n = 50, at_least = 2, at_most = 5 })
  local near = t.slot { from = m.source.nearest(50, { when = { region = { "NL", "BE" }, price = { lt = 20 } } }) }.sources[1]
  t.equal(near.when, { { column = "price", op = "lt", value = 20 }, { column = "region", op = "in", value = { "NL", "BE" } } })
  t.fails(function() m.source.recent(5, { at_lest = 2 }) end, "did you mean 'at_least'?")
  t.fails(function() m.source.recent(5, { at_least = 3, at_most = 2 }) end, "at_least (3) must not be above at_most (2)")
  t.fails(function() m.source.popular(5, { when = "new" }) end, "unknown option 'when'")
  t.fails(function() m.source.nearest(5, { when = {} }) end, "m.source.nearest: when must not be empty")
end)

t.test("a condition's value may come with the request", function()
  local function when(conditions) return t.slot { from = m.source.nearest(50, { when = conditions }) }.sources[1].when end
  t.equal(when { region = m.request "country" }, { { column = "region", op = "eq", param = "country" } })
  t.equal(when { region = { has = m.request("country", { default = "NL" }) } }, { { column = "region", op = "has", param = "country", default = "NL" } })
  t.equal(when { region = { has = "NL" }, price = { le = m.request("budget", { optional = true }) } },
    { { column = "price", op = "le", param = "budget", optional = true }, { column = "region", op = "has", value = "NL" } })
  local policy = t.slot { from = m.source.popular(), rerank = m.policy.filter { brand = m.request "brand" } }.policies[1]
  t.equal(policy.when, { { column = "brand", op = "eq", param = "brand" } })
  t.equal(policy.label, "filter(brand)")
end)

t.test("a value of the request says what is wrong with it", function()
  local function filter(when) return function() m.policy.filter(when) end end
  t.fails(function() m.request "" end, "m.request must not be the empty string")
  t.fails(function() m.request() end, "m.request must be a string, got nothing")
  t.fails(function() m.request("x", { defualt = 3 }) end, "did you mean 'default'?")
  t.fails(function() m.request("x", { default = {} }) end, "must be a string or a number, got a table")
  t.fails(function() m.request("x", { default = 1, optional = true }) end, "need not be optional")
  t.fails(filter { price = { lt = m.request("x", { default = "cheap" }) } }, "when.price.lt must be a number")
  t.fails(filter { tags = { has = 3 } }, "when.tags.has must be a string, got 3")
  t.fails(filter { brand = { m.request "x", "Acme" } }, "when.brand[1] must be a string or a number, got a value of the request")
  t.fails(filter(m.request "x"), "m.policy.filter: when must be a column's name or a table")
end)

t.done()
