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

t.done()
