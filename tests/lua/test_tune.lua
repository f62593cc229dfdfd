-- m.tune: values that a search may choose.
local t = require "harness"
local m = require "moonshelf"

local function here() return debug.getinfo(2, "l").currentline end

t.test("a word is the first of its values, wherever it stands", function()
  t.equal(m.tune { 1e-4, 1e-3 }, 1e-4)
  t.equal(m.tune.choice("relu", "tanh"), "relu")
  t.equal(m.tune { false, true }, false)
  t.equal(m.tune.range(16, 128, 16), 16)
  t.equal(m.tune.log(1e-5, 1e-2), 1e-5)
  t.equal(m.tune.range(0.0, 0.5, 0.1, { default = 0.2 }), 0.2)
  t.equal(math.type(m.tune.range(2, 8, 2, { default = 4 })), "integer")
  t.equal(math.type(m.tune.log(16, 256)), "integer")
  t.plan(t.recipe()) -- which takes what was asked for
end)

t.test("a recipe's plan says what it leaves open, with names from the text around it", function()
  local line = here() + 1
  local plan = t.plan(t.recipe { model = m.nn.sequential { m.nn.dense(m.tune.range(8, 32, 8, { name = "units" }), "relu"), m.nn.dense(1, "sigmoid") },
    train = { optimizer = m.nn.adam { lr = m.tune.log(1e-4, 1e-2, { points = 3, default = 1e-3 }) }, batch = m.tune { 32, 64 } } })
  local at = "test_tune.lua:"
  local function bare(entry)
    entry.where = entry.where:sub(-#at - #tostring(line))
    return entry
  end
  t.equal(plan.model.layers[1].units, 8)
  t.equal(plan.train.optimizer.lr, 1e-3)
  t.equal(#plan.tune, 3)
  t.has(bare(plan.tune[1]), { name = "units", kind = "range", low = 8, high = 32, step = 8, whole = true, pick = 8, value = 8, where = at .. line })
  t.has(bare(plan.tune[2]), { kind = "log", low = 1e-4, high = 1e-2, points = 3, whole = false, pick = 1e-3, where = at .. line + 1 })
  t.has(plan.tune[3], { kind = "choice", values = { 32, 64 }, pick = 1, value = 32 })
  assert(plan.tune[3].where:find(("%d (2)"):format(line + 1), 1, true), plan.tune[3].where)
  t.equal(t.plan(t.recipe()).tune, nil) -- the next recipe has its own
end)

t.test("values may be words, and a name is never there twice", function()
  local plan = t.plan(t.recipe { train = { optimizer = m.tune.choice(m.nn.adam { lr = 0.1 }, m.nn.sgd { lr = m.tune { 1, 2, name = "x" } }),
    epochs = m.tune { 3, 4, name = "x" } } })
  t.equal(plan.train.optimizer.type, "adam")
  t.equal({ plan.tune[1].name, plan.tune[2].values, plan.tune[3].name }, { "x", { "adam", "sgd" }, "x.2" })
end)

t.test("a word says what is wrong with it", function()
  t.fails(function() m.tune(3) end, "m.tune must be a list of values such as { 1e-4, 1e-3 }, got 3")
  t.fails(function() m.tune {} end, "m.tune must not be empty")
  t.fails(function() m.tune { 1, nil, 3, nmae = "x" } end, "m.tune: unknown option 'nmae'; did you mean 'name'?")
  t.fails(function() m.tune { 1, {} } end, "m.tune[2] must be a number, a string, true, false or a word, got a table")
  t.fails(function() m.tune { 0 / 0 } end, "m.tune[1] must be a number")
  t.fails(function() m.tune.choice() end, "m.tune.choice must not be empty")
  t.fails(function() m.tune.choice("a", nil, "b") end, "has a hole")
  t.fails(function() m.tune.range(8, 8, 1) end, "m.tune.range: low must be below high, got 8 and 8")
  t.fails(function() m.tune.range(8, 16) end, "m.tune.range: step must be a number above 0, got nothing")
  t.fails(function() m.tune.range(8, 16, 2, { default = 3.5 }) end, "default must be a whole number from 8 to 16, got 3.5")
  t.fails(function() m.tune.log(0, 1) end, "m.tune.log: low must be a number above 0, got 0")
  t.fails(function() m.tune.log(1, 2, { points = 1 }) end, "points must be a whole number from 2 to 1000")
  t.fails(function() m.tune.log("a", 2) end, 'm.tune.log: low must be a number, got the string "a"')
  t.fails(function() return m.tune.uniform(1, 2) end, "there is no word 'm.tune.uniform'")
  t.fails(function() for _ = 1, 65 do m.tune { 1 } end end, "at most 64 values to search")
  t.plan(t.recipe())
end)

t.done()
