-- m.test: what the word checks, and a test that runs under a stock lua5.4.
local t = require "harness"
local m = require "moonshelf"

local recipe = t.recipe {
  preprocess = { m.drop_missing "user" },
  features = { m.id "item", m.category "category", m.log "price", m.count("item", "view", "1h") },
}
local items = { { item = "a", category = "x", price = 1 }, { item = "b" } }

--- Runs a test of this body.
local function run(body) (m.test "one" { recipe = recipe, items = items, run = body }).run() end

t.test("a test runs when it is told to", function()
  local ran = 0
  local test = m.test "one" { run = function() ran = ran + 1 end }
  t.equal({ test.name, ran }, { "one", 0 })
  test.run()
  t.equal(ran, 1)
end)

t.test("features are those that the events left", function()
  run(function(it)
    it:event { user = "u", item = "a", event = "view", time = "2026-11-24T10:00:00Z" }
    it:near(it:features({ item = "a" })["count(item,view,1h)"], math.log(2))
    it:equal(it:log { { item = "a", event = "view", time = "2026-11-24T10:00:00Z" } }, 0)
    it:equal(it:features { user = "u", item = "b", at = "2026-11-24T11:00:00Z" }, { item = "b", ["log(price)"] = 0, ["count(item,view,1h)"] = 0 })
    it:equal(it:features({ item = "a" }).category, "x")
  end)
end)

t.test("each run begins anew, and what it was given is as it was", function()
  local event = { user = "u", item = "a", time = "2026-11-24" }
  local test = m.test "one" { recipe = recipe, items = items, run = function(it)
    t.equal(it:features({ item = "a", at = "2026-11-24" })["count(item,view,1h)"], 0)
    it:event(event)
    event.event = "view"
    it:log(event)
  end }
  test.run()
  test.run()
  t.equal(event, { user = "u", item = "a", event = "view", time = "2026-11-24" })
  t.equal(items, { { item = "a", category = "x", price = 1 }, { item = "b" } })
end)

t.test("assertions that hold are silent", function()
  run(function(it)
    it:equal({ 1, { a = 2 } }, { 1, { a = 2 } })
    it:equal(0.1 + 0.2, 0.1 + 0.2)
    it:near(1e9, 1e9 + 1)
    it:near(1, 2, 1)
    t.equal(it:ok(7), 7)
    assert(it:error(function() error "some text" end, "some"):find "some text")
    it:error(function() it:equal(1, 2) end, "got 1, expected 2")
  end)
end)

t.test("assertions that do not hold name their line", function()
  t.fails(function() run(function(it) it:equal(1, 2) end) end, "got 1, expected 2")
  t.fails(function() run(function(it) it:equal({}, { a = 1 }) end) end, 'got {}, expected { ["a"] = 1 }')
  t.fails(function() run(function(it) it:equal(0 / 0, 0 / 0) end) end, "got")
  t.fails(function() run(function(it) it:near("1", 1) end) end, 'got "1", expected 1')
  t.fails(function() run(function(it) it:near(0 / 0, 1) end) end, "expected 1 within")
  t.fails(function() run(function(it) it:near(1, nil) end) end, "the expected number must be a number, got nothing")
  t.fails(function() run(function(it) it:ok(false) end) end, "got false")
  t.fails(function() run(function(it) it:error(function() end) end) end, "expected an error, there was none")
end)

t.test("the word says what is wrong with its options", function()
  local site = m.site { home = m.page { m.slot "s" { from = m.source.popular(10) } } }
  t.fails(function() m.test() end, "m.test must be a string, got nothing")
  t.fails(function() m.test "x" {} end, "'run' is missing")
  t.fails(function() m.test "x"(print) end, "must be given a table of options, got a function")
  t.fails(function() m.test "x" { run = print, recipe = site } end, "recipe must be a recipe", "a site")
  t.fails(function() m.test "x" { run = print, recipe = 7 } end, "recipe must be a recipe", "got 7")
  t.fails(function() m.test "x" { run = print, items = items } end, "items without a recipe")
  t.fails(function() m.test "x" { run = print, recipe = recipe, items = { 7 } } end, "items: row 1 must be a table of columns, got 7")
end)

t.test("what has no recipe has no events, and a test that is over none either", function()
  t.fails(function() (m.test "x" { run = function(it) it:event {} end }).run() end, "t:event: the test has no recipe")
  local kept
  run(function(it) kept = it end)
  t.fails(function() kept:features { item = "a" } end, "t:features: this test is over")
  t.fails(function() kept.x = 1 end, "'t' is read-only")
  t.fails(function() kept.equal(1, 2) end, "with a colon: t:equal")
end)

t.done()
