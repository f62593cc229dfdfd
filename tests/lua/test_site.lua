-- m.slot, m.page and m.site.
local t = require "harness"
local m = require "moonshelf"

local function page(options)
  if not options[1] then options[1] = m.slot "s" { from = m.source.popular(10) } end
  return t.plan(m.site { home = m.page(options) }).surfaces.home
end

t.test("a slot has defaults and takes its options", function()
  t.has(t.slot {}, { name = "s", title = "s", take = 10, min = 1, rank = false, policies = {} })
  t.has(t.slot { title = "For you", take = 1000, min = 0, rank = true }, { title = "For you", take = 1000, min = 0, rank = true })
  t.has(t.slot { rank = "shop" }, { rank = true })
  t.equal(#t.slot { rerank = { m.policy.cap { c = 1 }, m.policy.mmr() } }.policies, 2)
  t.equal(#t.slot { rerank = m.policy.cap { c = 1 } }.policies, 1)
  t.equal(#t.slot { rerank = {} }.policies, 0)
end)

t.test("a slot says what is wrong with it", function()
  local from = m.source.popular(10)
  t.fails(function() m.slot() end, "m.slot must be a string, got nothing")
  t.fails(function() m.slot "s" {} end, "m.slot \"s\": 'from' is missing")
  t.fails(function() m.slot "s" { form = from } end, "unknown option 'form'; did you mean 'from'?")
  t.fails(function() m.slot "s" { from = "popular" } end, "from must be a source such as m.source.popular(200), or a list of them")
  t.fails(function() m.slot "s" { from = { from, m.id "user" } } end, "from[2] must be a source", "got a feature")
  t.fails(function() m.slot "s" { from = {} } end, "from must not be empty")
  t.fails(function() m.slot "s" { from = from, take = 0 } end, "take must be a whole number from 1 to 1000, got 0")
  t.fails(function() m.slot "s" { from = from, take = 3, min = 4 } end, "min (4) is more than take (3)")
  t.fails(function() m.slot "s" { from = from, rank = 5 } end, "rank must be true, false or the name of a bundle, got 5")
  t.fails(function() m.slot "s" { from = from, rank = "" } end, "rank must be true, false or the name of a bundle")
  t.fails(function() m.slot "s" { from = from, rerank = { from } } end, "rerank[1] must be a policy such as", "got a source")
  t.fails(function() m.slot "s" { from = from, rerank = function() end } end, "rerank must be a policy", "got a function")
  t.fails(function() m.slot "s" { from = from, title = 5 } end, "title must be a string")
end)

t.test("a page has its slots in order, and options", function()
  local plan = page {
    m.slot "a" { from = m.source.recent() }, m.slot "b" { from = m.source.recent() },
    dedupe = "product", fallback = { m.source.popular(5), m.source.trending(6) }, exclude_seen = "purchase",
  }
  t.equal({ plan.slots[1].name, plan.slots[2].name, #plan.slots }, { "a", "b", 2 })
  t.has(plan, { dedupe = "product", exclude_seen = { "purchase" } })
  t.equal({ #plan.fallback, plan.fallback[1][1].type, plan.fallback[1][2].type }, { 1, "popular", "trending" })
  plan = page {}
  t.equal({ plan.dedupe, plan.fallback, plan.exclude_seen }, { nil, {} })
end)

t.test("fallbacks are stages, of the page or of a slot", function()
  local plan = page {
    m.slot "a" { from = m.source.recent(), fallback = m.source.similar(7) }, m.slot "b" { from = m.source.recent(), fallback = {} },
    m.slot "c" { from = m.source.recent() }, fallback = { { m.source.popular(5) }, { m.source.trending(6), m.source.recent() } },
  }
  t.equal({ #plan.fallback, #plan.fallback[2], plan.fallback[2][1].n }, { 2, 2, 6 })
  t.equal({ plan.slots[1].fallback[1][1].n, #plan.slots[2].fallback, plan.slots[3].fallback }, { 7, 0, nil })
end)

t.test("a page may put its slots in order, but for those that are fixed", function()
  t.equal(page { order = "score" }.order, { by = "score", first = 4 })
  t.equal(page { order = { by = "affinity", column = "category", first = 2 } }.order, { by = "affinity", column = "category", first = 2 })
  t.equal(t.slot { fixed = true }.fixed, true)
end)

t.test("a page may fill its slots all at once", function()
  t.equal(page { solve = true }.solve, { steps = 2000, within_us = 5000 })
  t.equal(page { solve = false }.solve, nil)
  t.equal(page { solve = { caps = { brand = 3 }, floors = { { when = "new", at_least = 2 } }, within_ms = 2, steps = 9 } }.solve, {
    caps = { { column = "brand", n = 3 } }, steps = 9, within_us = 2000,
    floors = { { when = { { column = "new", op = "truthy" } }, at_least = 2, label = "new" } },
  })
  local slot = m.slot "s" { from = m.source.recent() }
  t.fails(function() m.page { slot, solve = { cap = { brand = 3 } } } end, "unknown option 'cap'; did you mean 'caps'?")
  t.fails(function() m.page { slot, solve = { caps = { brand = 0 } } } end, "caps: brand must be a whole number")
  t.fails(function() m.page { slot, solve = { floors = { { when = "new" } } } } end, "'at_least' is missing")
  t.fails(function() m.page { slot, solve = 5 } end, "must be given a table of options, got 5")
end)

t.test("a slot may have several titles", function()
  t.equal(t.slot { title = { "Because of {seed.title}", "For you" } }.title, { "Because of {seed.title}", "For you" })
  t.fails(function() m.slot "s" { from = m.source.recent(), title = { "a", 5 } } end, "title[2] must be a string, got 5")
end)

t.test("a page says what is wrong with it", function()
  local slot = m.slot "s" { from = m.source.recent() }
  t.fails(function() m.page() end, "m.page must be given a table of slots, got nothing")
  t.fails(function() m.page(slot) end, "got a slot")
  t.fails(function() m.page {} end, "m.page: a page needs at least one m.slot")
  t.fails(function() m.page { m.slot "s" } end, 'm.page: slot 1 must be a slot such as', 'got m.slot "s" without its { ... }')
  t.fails(function() m.page { slot, nil, slot } end, "slot 2 must be a slot", "got nothing")
  t.fails(function() m.page { slot, [7] = slot } end, "slot 2 must be a slot", "got nothing")
  t.fails(function() m.page { slot, [0] = slot } end, "slot 2 must be a slot")
  t.fails(function()
    m.page { slot, m.slot "s" { from = m.source.recent() } }
  end, 'there are two slots "s" on the page (the first at test_site.lua:')
  t.fails(function() m.page { slot, dedupe = 5 } end, "m.page: dedupe must be a string, got 5")
  t.fails(function() m.page { slot, order = "scroe" } end, "order: by", "did you mean")
  t.fails(function() m.page { slot, order = { by = "affinity" } } end, 'by = "affinity" wants a column')
  t.fails(function() m.page { slot, fallback = { { m.source.popular() }, m.source.recent() } } end,
    "fallback[2] must be a list of sources, as the others are, got a source")
  t.fails(function() m.page { slot, falback = slot } end, "unknown option 'falback'; did you mean 'fallback'?")
  t.fails(function() m.page { slot, fallback = "popular" } end, "fallback must be a source")
  t.fails(function() m.page { slot, exclude_seen = true } end, "exclude_seen must be a string or a list of strings, got true")
end)

t.test("a site is pages by surface", function()
  local function one(name) return m.page { m.slot(name) { from = m.source.recent() } } end
  local plan = t.plan(m.site { home = one "h", product = one "p", ["late-night_2"] = one "l" })
  t.equal(plan.version, 1)
  t.equal({ plan.surfaces.home.slots[1].name, plan.surfaces.product.slots[1].name, plan.surfaces["late-night_2"].slots[1].name }, { "h", "p", "l" })
end)

t.test("a site says what is wrong with it", function()
  local page_word = m.page { m.slot "s" { from = m.source.recent() } }
  t.fails(function() m.site() end, "m.site must be given a table of pages, got nothing")
  t.fails(function() m.site {} end, "a site needs at least one page")
  t.fails(function() m.site { page_word } end, "pages are written surface = m.page { ... }")
  t.fails(function() m.site { home = m.slot "s" } end, "m.site: home must be a page", 'got m.slot "s" without')
  t.fails(function() m.site(page_word) end, "got a page")
  t.fails(function() m.site { ["a/b"] = page_word } end, "a surface's name is made of letters", 'got "a/b"')
end)

t.test("functions are numbered through the whole site, each use its own number", function()
  local rule = m.policy.lua(function() end)
  local slot = m.slot "a" { from = m.source.recent(), rerank = { rule, m.policy.cap { c = 1 }, rule }, gate = function() end }
  local plan = t.plan(m.site {
    cart = m.page { slot }, home = m.page { slot, m.slot "b" { from = m.source.recent(), rerank = rule } },
  })
  local seen = {}
  for _, surface in ipairs { "cart", "home" } do
    for _, s in ipairs(plan.surfaces[surface].slots) do
      for _, policy in ipairs(s.policies) do
        if policy.fn then seen[#seen + 1] = policy.fn end
      end
      if s.gate then seen[#seen + 1] = s.gate.fn end
    end
  end
  table.sort(seen)
  t.equal(seen, { 1, 2, 3, 4, 5, 6, 7 })
end)

t.done()
