-- m.split: how examples are parted.
local t = require "harness"
local m = require "moonshelf"

local function parts(split) return t.plan(t.recipe { train = { split = split } }).train.split end

t.test("two or three parts by time or at random", function()
  t.equal(parts(m.split.by_time { 0.8, 0.1, 0.1 }), { by = "time", parts = { 0.8, 0.1, 0.1 } })
  t.equal(parts(m.split.random { 0.7, 0.3 }), { by = "random", parts = { 0.7, 0.3, 0 } })
  t.equal(parts(m.split.random { 1, 0, 0 }), { by = "random", parts = { 1, 0, 0 } })
end)

t.test("by each user's ratio", function()
  t.equal(parts(m.split.ratio { 0.8, 0.1, 0.1 }), { by = "ratio", parts = { 0.8, 0.1, 0.1 } })
  t.fails(function() m.split.ratio { 1 } end, "m.split.ratio: 2 or 3 parts")
end)

t.test("by user, and leaving one out", function()
  t.equal(parts(m.split.by_user { 0.8, 0.2 }), { by = "user", parts = { 0.8, 0.2, 0 } })
  t.equal(parts(m.split.leave_one_out()), { by = "leave_one_out" })
  t.equal(parts(m.split.leave_one_out {}), { by = "leave_one_out" })
  t.fails(function() m.split.by_user { 0.8 } end, "m.split.by_user: 2 or 3 parts")
  t.fails(function() m.split.leave_one_out { 0.8, 0.2 } end, "m.split.leave_one_out: unknown option '1'")
end)

t.test("parts that do not sum to 1 are refused, and others are taken", function()
  math.randomseed(7)
  for _ = 1, 300 do
    local a, b = math.random(), math.random()
    local c = 1 - a - b
    if c >= 0 and a > 0 then
      t.equal(parts(m.split.by_time { a, b, c }).parts, { a, b, c })
      assert(not pcall(m.split.by_time, { a, b, c + 0.01 }))
    else
      assert(not pcall(m.split.by_time, { a, b, c }))
    end
  end
end)

t.test("a split says what is wrong with it", function()
  t.fails(function() m.split.by_time() end, "m.split.by_time must be a list { train, validation, test }, got nothing")
  t.fails(function() m.split.by_time { 1 } end, "2 or 3 parts { train, validation, test }, got 1")
  t.fails(function() m.split.random { 0.4, 0.2, 0.2, 0.2 } end, "m.split.random: 2 or 3 parts", "got 4")
  t.fails(function() m.split.by_time { 0.8, 0.1, 0.2 } end, "the parts must sum to 1, they sum to 1.1")
  t.fails(function() m.split.by_time { 0, 0.5, 0.5 } end, "the training part must not be 0")
  t.fails(function() m.split.by_time { 1.5, -0.5 } end, "part 1 must be a number at least 0 and at most 1, got 1.5")
  t.fails(function() m.split.by_time { 0.5, "half" } end, 'part 2 must be a number', 'got the string "half"')
  t.fails(function() m.split.by_time { train = 0.8 } end, "has the key 'train'")
end)

t.done()
