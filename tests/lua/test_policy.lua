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

t.test("a function's label says where it is written", function()
  local line = debug.getinfo(1, "l").currentline + 1
  local function mine() end
  t.has(t.policy(p.lua(mine)), { op = "lua", fn = 1, label = "lua(test_policy.lua:" .. line .. ")" })
  t.fails(function() p.lua "boost" end, "m.policy.lua must be a function")
end)

t.done()
