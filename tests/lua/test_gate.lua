-- m.gate: whether a slot is there, as data.
local t = require "harness"
local m = require "moonshelf"

local function gate(word) return t.slot { gate = word }.gate end

t.test("gates on the request are parameters and the values that open them", function()
  t.equal(gate(m.gate.country "NL"), { op = "param", name = "country", ["in"] = { "NL" }, label = "country(NL)" })
  t.has(gate(m.gate.device { "phone", "tablet" }), { name = "device", ["in"] = { "phone", "tablet" }, label = "device(phone,tablet)" })
  t.has(gate(m.gate.segment "vip"), { name = "segment" })
  t.has(gate(m.gate.param("city", "Utrecht")), { name = "city", label = "city(Utrecht)" })
  t.has(gate(m.gate.experiment("layout", { "b", "c" })), { name = "experiment.layout", ["in"] = { "b", "c" } })
  t.has(gate(m.gate.logged_in()), { name = "login", label = "logged_in" })
  t.equal(gate(m.gate.known_user()), { op = "known", label = "known_user" })
end)

t.test("gates on the time have their span and their zone", function()
  local spring = gate(m.gate.between { starts = "2026-03-01", ends = "2026-06-01" })
  t.equal(spring.ends_us - spring.starts_us, 92 * 86400000000)
  t.equal(gate(m.gate.between { ends = "2026-06-01" }).starts_us, nil)
  t.has(gate(m.gate.hours { from = "09:30", to = "17:00", days = { "mon", "Friday" } }), {
    op = "hours", from_us = 34200000000, to_us = 61200000000, days = { 1, 5 }, zone_us = 0, label = "hours(09:30-17:00)",
  })
  t.equal(gate(m.gate.hours { zone = "+02:00" }).zone_us, 7200000000)
  t.equal(type(gate(m.gate.hours { zone = "CET-1CEST,M3.5.0,M10.5.0/3" }).zone), "string")
end)

t.test("gates go together, functions among them", function()
  local plan = gate(m.gate.all { m.gate.country "NL", m.gate.none { m.gate.in_stock "i1", function() return true end } })
  t.has(plan, { op = "all", label = "all(country(NL), none(in_stock, function))" })
  t.has(plan.of[2].of[1], { op = "stock", items = { "i1" } })
  t.equal(plan.of[2].of[2], { op = "fn", fn = 1, label = "function" })
  t.equal(gate(m.gate.in_stock()).items, nil)
end)

t.test("a slot takes a gate or a function", function()
  t.equal(gate(function() return true end), { op = "fn", fn = 1, label = "function" })
  t.equal(t.slot {}.gate, nil)
  t.fails(function() m.slot "s" { from = m.source.recent(), gate = true } end,
    'm.slot "s": gate must be a gate such as m.gate.country "NL", or a function, got true')
end)

t.test("a gate says what is wrong with it", function()
  t.fails(function() m.gate.country() end, "m.gate.country must be a string or a list of strings, got nothing")
  t.fails(function() m.gate.country {} end, "must not be empty")
  t.fails(function() m.gate.country { "NL", 5 } end, "m.gate.country[2] must be a string, got 5")
  t.fails(function() m.gate.contry "NL" end, "did you mean 'm.gate.country'?")
  t.fails(function() m.gate.param(5, "x") end, "m.gate.param: name must be a string, got 5")
  t.fails(function() m.gate.between {} end, "starts or ends is missing")
  t.fails(function() m.gate.between { starts = "2026-02-01", ends = "2026-01-01" } end, "ends (2026-01-01) must be after starts (2026-02-01)")
  t.fails(function() m.gate.hours { from = "25:00" } end, 'from must be a time of the day such as "09:30"')
  t.fails(function() m.gate.hours { from = "24:00" } end, "from must be before 24:00")
  t.fails(function() m.gate.hours { days = "noday" } end, 'days such as "mon" or "sat"')
  t.fails(function() m.gate.hours { zone = "Europe/Nowhere" } end, "zone")
  t.fails(function() m.gate.all { m.gate.country "NL", 5 } end, "m.gate.all[2] must be a gate such as", "got 5")
  t.fails(function() m.gate.any {} end, "must not be empty")
end)

t.done()
