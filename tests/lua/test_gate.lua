-- m.gate: functions of ctx.
local t = require "harness"
local m = require "moonshelf"

local function ctx(country, known) return { params = { country = country }, user = { known = known } } end

t.test("m.gate.country opens for its countries only", function()
  local one, two = m.gate.country "NL", m.gate.country { "NL", "BE" }
  t.equal({ one(ctx "NL"), one(ctx "BE"), one(ctx()), one(ctx "nl") }, { true, false, false, false })
  t.equal({ two(ctx "NL"), two(ctx "BE"), two(ctx "DE") }, { true, true, false })
end)

t.test("m.gate.known_user opens for users whom the shop knows", function()
  t.equal({ m.gate.known_user()(ctx(nil, true)), m.gate.known_user()(ctx(nil, false)) }, { true, false })
end)

t.test("a slot takes a gate of one's own, and only a function", function()
  t.equal(t.slot { gate = function() return true end }.gate, 1)
  t.equal(t.slot { gate = m.gate.country "NL" }.gate, 1)
  t.equal(t.slot {}.gate, nil)
  t.fails(function() m.slot "s" { from = m.source.recent(), gate = true } end, 'm.slot "s": gate must be a function, got true')
end)

t.test("a gate says what is wrong with it", function()
  t.fails(function() m.gate.country() end, "m.gate.country must be a string or a list of strings, got nothing")
  t.fails(function() m.gate.country {} end, "must not be empty")
  t.fails(function() m.gate.country { "NL", 5 } end, "m.gate.country[2] must be a string, got 5")
  t.fails(function() m.gate.contry "NL" end, "did you mean 'm.gate.country'?")
end)

t.done()
