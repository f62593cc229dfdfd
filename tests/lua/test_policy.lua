-- m.policy: conditions, weights, filters, caps, variety, and functions.
local t = require "harness"
local m = require "moonshelf"
local p = m.policy

local function conditions(when)
  local list = t.policy(p.filter(when)).when
  for i, c in ipairs(list) do list[i] = { c.column, c.op, c.value } end
  return list
end

t.test("conditions are columns, operators and values, by column name", function()
  t.equal(conditions "new", { { "new", "truthy" } })
  t.equal(conditions { new = true }, { { "new", "truthy" } })
  t.equal(conditions { brand = "Acme" }, { { "brand", "eq", "Acme" } })
  t.equal(conditions { stock = 3 }, { { "stock", "eq", 3 } })
  t.equal(conditions { category = { "a", "b" } }, { { "category", "in", { "a", "b" } } })
  t.equal(conditions { price = { lt = 20, ge = 5 } }, { { "price", "ge", 5 }, { "price", "lt", 20 } })
  t.equal(conditions { brand = { ne = "Acme" } }, { { "brand", "ne", "Acme" } })
  t.equal(conditions { z = 1, a = { 1, 2 }, k = { le = 3 } }, { { "a", "in", { 1, 2 } }, { "k", "le", 3 }, { "z", "eq", 1 } })
end)

t.test("conditions say what is wrong with them", function()
  t.fails(function() p.filter() end, "m.policy.filter: when must be a column's name or a table such as", "got nothing")
  t.fails(function() p.filter {} end, "must not be empty")
  t.fails(function() p.filter "" end, "got the string \"\"")
  t.fails(function() p.filter { "new" } end, 'conditions are written column = value, got the string "new"')
  t.fails(function() p.filter { price = { less = 20 } } end, 'when.price: there is no "less"')
  t.fails(function() p.filter { price = { lt = "cheap" } } end, "when.price.lt must be a number")
  t.fails(function() p.filter { price = { lt = 0 / 0 } } end, "must be a string or a number")
  t.fails(function() p.filter { price = false } end, "must be a string or a number, got false")
  t.fails(function() p.filter { brand = { "a", 5 } } end, "mixes strings and numbers")
  t.fails(function() p.filter { brand = {} } end, "must not be empty")
  t.fails(function() p.filter(m.id "user") end, "got a feature")
end)

t.test("a boost carries factor, owner, reason and its dates", function()
  local policy = t.policy(p.boost({ brand = "Acme", price = { lt = 9 } }, 1.5, {
    owner = "merch", reason = "spring drop", starts = "2026-11-24", ends = "2026-11-25T12:00:00Z",
  }))
  t.has(policy, {
    op = "boost", factor = 1.5, owner = "merch", reason = "spring drop", label = "boost(brand,price)",
    starts_us = 1795478400 * 1000000.0, ends_us = (1795478400 + 36 * 3600) * 1000000.0,
  })
  t.has(t.policy(p.boost("new", 2)), { label = "boost(new)", factor = 2 })
  local text = m.plan(m.site { home = m.page { m.slot "s" { from = m.source.recent(), rerank = p.boost("new", 2) } } })
  assert(not text:find("starts_us", 1, true) and text:find('"factor":2.0', 1, true), text)
end)

t.test("bury is a boost below 1", function()
  t.has(t.policy(p.bury("new", 0.5)), { op = "boost", factor = 0.5, label = "bury(new)" })
  t.fails(function() p.bury("new", 1) end, "m.policy.bury: factor must be a number above 0 and below 1, got 1")
end)

t.test("boost says what is wrong with it", function()
  t.fails(function() p.boost "new" end, "m.policy.boost: factor must be a number above 0, got nothing")
  t.fails(function() p.boost("new", 0) end, "got 0")
  t.fails(function() p.boost("new", math.huge) end, "got inf")
  t.fails(function() p.boost("new", 2, { ownr = "me" }) end, "unknown option 'ownr'; did you mean 'owner'?")
  t.fails(function() p.boost("new", 2, { ends = "soon" }) end, "ends must be a date such as", 'got the string "soon"')
  t.fails(function() p.boost("new", 2, { ends = "2026-02-30" }) end, "2026-02-30")
  t.fails(function() p.boost("new", 2, { starts = "2026-02-02", ends = "2026-02-01" }) end, "ends (2026-02-01) must be after starts (2026-02-02)")
  t.fails(function() p.boost("new", 2, "merch") end, "must be given a table of options")
end)

t.test("cap has a limit per column, by column name", function()
  local policy = t.policy(p.cap { category = 3, brand = 2 })
  t.has(policy, { op = "cap", label = "cap(brand,category)", limits = { { column = "brand", n = 2 }, { column = "category", n = 3 } } })
  t.fails(function() p.cap() end, "m.policy.cap must be a table such as { category = 3 }, got nothing")
  t.fails(function() p.cap { 3 } end, "limits are written column = n")
  t.fails(function() p.cap { brand = 0 } end, "m.policy.cap: brand must be a whole number, 1 or more, got 0")
  t.fails(function() p.cap(m.id "user") end, "got a feature")
end)

t.test("mmr has a weight, a column and a depth", function()
  t.has(t.policy(p.mmr()), { op = "mmr", lambda = 0.7, by = "embedding", k = 50, label = "mmr(embedding)" })
  t.has(t.policy(p.mmr { lambda = 0, by = "brand", k = 5 }), { lambda = 0, by = "brand", k = 5, label = "mmr(brand)" })
  t.fails(function() p.mmr { lambda = 1.1 } end, "m.policy.mmr: lambda must be a number at least 0 and at most 1, got 1.1")
  t.fails(function() p.mmr { lamda = 1 } end, "did you mean 'lambda'?")
  t.fails(function() p.mmr { k = 0 } end, "k must be")
end)

t.test("every policy has an owner, a reason and dates", function()
  local dated = { owner = "merch", reason = "why", starts = "2026-11-24", ends = "2026-11-25" }
  for _, policy in ipairs { p.filter("new", dated), p.cap({ brand = 2 }, dated) } do
    t.has(t.policy(policy), { owner = "merch", reason = "why", starts_us = 1795478400 * 1000000.0, ends_us = 1795564800 * 1000000.0 })
  end
  t.fails(function() p.debunch { by = "brand", starts = "2026-02-02", ends = "2026-02-01" } end, "ends (2026-02-01) must be after starts")
end)

t.test("the words of operators leave their options in the plan, and their names in the label", function()
  t.has(t.policy(p.exclude { items = "i1", done = { "purchase", "cart" }, within = "30d" }), {
    op = "exclude", items = { "i1" }, done = { "purchase", "cart" }, within_us = 30 * 86400 * 1000000.0, label = "exclude(i1,purchase,cart)",
  })
  t.has(t.policy(p.pin { items = { "i1", "i2" }, at = 1, bring = true }), { op = "pin", items = { "i1", "i2" }, at = 1, bring = true, label = "pin(i1,i2)" })
  t.has(t.policy(p.cap({ tags = 2 }, { split = ",", first = 10 })), { limits = { { column = "tags", n = 2 } }, split = ",", first = 10, label = "cap(tags)" })
  t.has(t.policy(p.quota { when = { source = "trending" }, at_least = 2, first = 5 }), {
    when = { { column = "source", op = "eq", value = "trending" } }, at_least = 2, first = 5, label = "quota(source)",
  })
  t.has(t.policy(p.pattern { pattern = { "new", "any", { price = { lt = 5 } } } }), {
    pattern = { { { column = "new", op = "truthy" } }, "any", { { column = "price", op = "lt", value = 5 } } }, label = "pattern",
  })
  t.has(t.policy(p.blend { weights = { score = 1, price = -0.5 } }), { weights = { { column = "price", n = -0.5 }, { column = "score", n = 1.0 } } })
  t.has(t.policy(p.mix { by = "price", edges = { 10 }, shares = { 1, 2 }, first = 5 }), { edges = { 10.0 }, shares = { 1.0, 2.0 }, label = "mix(price)" })
  t.has(t.policy(p.dpp()), { op = "dpp", lambda = 0.7, by = "embedding", k = 50, label = "dpp(embedding)" })
  t.has(t.policy(p.freshness { by = "added", half_life = "7d" }), { half_life_us = 7 * 86400 * 1000000.0, label = "freshness(added)" })
  t.has(t.policy(p.frequency { done = "impression", most = 3, within = "1d" }), { done = "impression", most = 3, label = "frequency(impression)" })
  t.has(t.policy(p.epsilon()), { op = "epsilon", label = "epsilon" })
end)

t.test("the words of operators say what is wrong", function()
  t.fails(function() p.pin { item = "i1" } end, "m.policy.pin: unknown option 'item'; did you mean 'items'?")
  t.fails(function() p.pin { at = 1 } end, "m.policy.pin: 'items' is missing")
  t.fails(function() p.pin { items = "i1", at = 100001 } end, "m.policy.pin: at must be a whole number from 0 to 100000, got 100001")
  t.fails(function() p.pin { items = "i1", top = 2 } end, "top must be a number at least 0 and at most 1, got 2")
  t.fails(function() p.pin "i1" end, "must be given a table of options")
  t.fails(function() p.blend { weights = { score = 1 }, scale = "ranks" } end, "scale: there is no \"ranks\"; did you mean 'rank'?")
  t.fails(function() p.blend { weights = {} } end, "weights must be a table such as { category = 3 }")
  t.fails(function() p.freshness { by = "added", half_life = 7 } end, "half_life must be a duration such as")
  t.fails(function() p.pattern { pattern = { "new", 5 } } end, "pattern[2]: when must be")
  t.fails(function() p.mix { by = "price", edges = { "a" }, shares = { 1, 1 }, first = 5 } end, "edges[1] must be a number")
  t.fails(function() p.cap({ tags = 2 }, { frist = 5 }) end, "did you mean 'first'?")
  t.fails(function() p.debunsh {} end, "there is no word 'm.policy.debunsh'; did you mean 'm.policy.debunch'?")
  t.fails(function() p.sample { temperature = 0 } end, "temperature must be a number at least 0.001 and at most 1000, got 0")
end)

t.test("a function's label says where it is written", function()
  local line = debug.getinfo(1, "l").currentline + 1
  local function mine() end
  t.has(t.policy(p.lua(mine)), { op = "lua", fn = 1, label = "lua(test_policy.lua:" .. line .. ")" })
  t.fails(function() p.lua "boost" end, "m.policy.lua must be a function")
end)

t.done()
