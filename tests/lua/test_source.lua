-- m.source: where candidates come from.
local t = require "harness"
local m = require "moonshelf"

t.test("each source has a kind and a number", function()
  for _, kind in ipairs { "popular", "trending", "similar", "recent" } do
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

t.done()
