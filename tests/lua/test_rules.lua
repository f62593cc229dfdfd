-- The rules of preprocess: what stands in the plan, and what is wrong without looking at the data.
local t = require "harness"
local m = require "moonshelf"

local function rule(word) return t.plan(t.recipe { preprocess = { word } }).preprocess[1] end

--- The rule in the plan, without its place.
local function bare(word)
  local r = rule(word)
  assert(r.where:match "^test_rules%.lua:%d+$")
  r.where = nil
  return r
end

t.test("rules stand in the plan in their order, functions by number", function()
  local plan = t.plan(t.recipe {
    preprocess = {
      m.drop_missing { "user", "item" }, m.filter(function() return true end), m.map "late" (function() return 1 end), m.dedupe "late",
      m.filter(function() return false end),
    },
  })
  local seen = {}
  for i, r in ipairs(plan.preprocess) do
    seen[i] = { r.op, r.fn, r.column, r.columns }
    assert(r.where:match("^test_rules%.lua:%d+$"))
  end
  t.equal(seen, {
    { "drop_missing", nil, nil, { "user", "item" } }, { "filter", 1 }, { "map", 2, "late" }, { "dedupe", nil, nil, { "late" } }, { "filter", 3 },
  })
end)

t.test("one column stands for a list of one", function()
  t.equal(rule(m.drop_missing "user").columns, { "user" })
  t.equal(rule(m.dedupe "item").columns, { "item" })
end)

t.test("rules say what is wrong with them", function()
  t.fails(function() m.drop_missing() end, "m.drop_missing must be a string or a list of strings, got nothing")
  t.fails(function() m.drop_missing {} end, "must not be empty")
  t.fails(function() m.drop_missing { "user", "user" } end, "names 'user' twice")
  t.fails(function() m.drop_missing { "user", 5 } end, "m.drop_missing[2] must be a string, got 5")
  t.fails(function() m.drop_missing { user = true } end, "has the key 'user'")
  t.fails(function() m.dedupe { "user", nil, "item" } end, "hole")
  t.fails(function() m.filter "row.price > 3" end, "m.filter must be a function")
  t.fails(function() m.map(5) end, "m.map must be a string")
  t.fails(function() m.map "late"() end, 'm.map "late" must be a function, got nothing')
  t.fails(function() m.map "late" { 5 } end, "got a table")
end)

t.test("columns stand in the plan in the order of their names", function()
  t.equal(bare(m.fill { user = "nobody", item = "x", rating = "mean" }),
    { op = "fill", values = { { column = "item", value = "x" }, { column = "rating", value = "mean" }, { column = "user", value = "nobody" } } })
  t.equal(bare(m.cast { time = "time_ms", rating = "integer" }),
    { op = "cast", types = { { column = "rating", type = "integer" }, { column = "time", type = "time_ms" } } })
  t.equal(bare(m.time_zone { time = "Europe/Amsterdam" }), { op = "time_zone", zones = { { column = "time", zone = "Europe/Amsterdam" } } })
end)

t.test("numbers and durations are those that were given", function()
  t.equal(bare(m.clip("rating", { min = -2 })), { op = "clip", column = "rating", min = -2 })
  t.equal(bare(m.clip("rating", { min = 1, max = 2.5 })), { op = "clip", column = "rating", min = 1, max = 2.5 })
  t.equal(bare(m.sessionize "30m"), { op = "sessionize", gap_us = 1800000000 })
  t.equal(bare(m.k_core { user = 5, item = 3 }), { op = "k_core", user = 5, item = 3 })
  t.equal(bare(m.k_core { item = 3 }), { op = "k_core", item = 3 })
  t.equal(bare(m.bots { over = "1m", most = 60 }), { op = "bots", over_us = 60000000, most = 60 })
end)

t.test("a join holds the other table whole", function()
  local users = m.csv "users.csv" { user = "id", country = "country", age = "age:number" }
  local r = rule(m.join(users, { on = "user", columns = "country" }))
  t.has(r, { op = "join", on = "user", columns = { "country" } })
  t.has(r.source, { file = "users.csv", delimiter = "," })
  t.equal(r.source.columns, { { name = "age", from = "age", type = "number" }, { name = "country", from = "country" }, { name = "user", from = "id" } })
  t.equal(rule(m.join(users, { on = "user" })).columns, nil)
end)

t.test("words say what is wrong with them", function()
  t.fails(function() m.fill() end, "m.fill must be given a table such as", "got nothing")
  t.fails(function() m.fill {} end, "m.fill: at least one column")
  t.fails(function() m.fill { "price" } end, 'got the string "price" alone')
  t.fails(function() m.fill { price = true } end, "m.fill: price must be a number, a text", "got true")
  t.fails(function() m.fill { price = 0 / 0 } end, "m.fill: price must be a number")
  t.fails(function() m.fill { brand = "" } end, "m.fill: brand must not be the empty string")
  t.fails(function() m.cast { price = "nubmer" } end, "m.cast: price: there is no \"nubmer\"; did you mean 'number'?")
  t.fails(function() m.rename { a = 5 } end, "m.rename: a must be a string, got 5")
  t.fails(function() m.rename { a = "x", b = "x" } end, "m.rename: 'x' is renamed twice")
  t.fails(function() m.clip("price") end, "give min, max or both")
  t.fails(function() m.clip("price", { mn = 1 }) end, "unknown option 'mn'; did you mean 'min'?")
  t.fails(function() m.clip("price", { min = 2, max = 1 }) end, "min 2 is above max 1")
  t.fails(function() m.time_zone { time = 2 } end, "m.time_zone: time must be a string, got 2")
  t.fails(function() m.sessionize(30) end, "m.sessionize must be a duration such as", "got 30")
  t.fails(function() m.k_core {} end, "give user, item or both")
  t.fails(function() m.k_core { users = 5 } end, "unknown option 'users'; did you mean 'user'?")
  t.fails(function() m.k_core { user = 0 } end, "user must be a whole number, 1 or more, got 0")
  t.fails(function() m.bots { over = "1m" } end, "'most' is missing")
  t.fails(function() m.bots { over = "often", most = 5 } end, "over must be a duration")
  t.fails(function() m.join("users.csv", { on = "user" }) end, "m.join must be given a table", 'got the string "users.csv"')
  t.fails(function() m.join(m.csv "users.csv", { on = "user" }) end, 'got m.csv "users.csv" without its columns')
  t.fails(function() m.join(m.csv "u.csv" { user = "id" }) end, "'on' is missing")
end)

t.test("a rule sees the columns that those before it made, and no others", function()
  local function load(...) return t.plan(t.recipe { preprocess = { ... } }) end
  local users = m.csv "users.csv" { user = "id", country = "country" }
  load(m.join(users, { on = "user" }), m.fill { country = "unknown" }, m.rename { land = "country" }, m.dedupe { "land" }, m.sessionize "30m",
    m.cast { session = "string" }, m.rename { item = "user", user = "item" })
  t.fails(function() load(m.fill { prise = 0 }) end, "m.fill: the events have no column 'prise'")
  t.fails(function() load(m.fill { user_ = "x" }) end, "did you mean 'user'?")
  t.fails(function() load(m.rename { land = "event" }, m.dedupe "event") end, "m.dedupe: the events have no column 'event'")
  t.fails(function() load(m.rename { user = "item" }) end, "m.rename: the events have a column 'user' already")
  t.fails(function() load(m.sessionize "1m", m.sessionize "2m") end, "m.sessionize: the events have a column 'session' already")
  t.fails(function() load(m.clip("session", { min = 0 })) end, "m.clip: the events have no column 'session'")
  t.fails(function() load(m.time_zone { tme = "UTC" }) end, "m.time_zone: the events have no column 'tme'; did you mean 'time'?")
  t.fails(function() load(m.rename { who = "user" }, m.k_core { user = 2 }) end, "m.k_core: the events have no column 'user'")
  t.fails(function() load(m.rename { at = "time" }, m.bots { over = "1m", most = 2 }) end, "m.bots: the events have no column 'time'")
  t.fails(function() load(m.join(users, { on = "usr" })) end, "m.join: the events have no column 'usr'; did you mean 'user'?")
  t.fails(function() load(m.join(users, { on = "item" })) end, "m.join: \"users.csv\" has no column 'item'")
  t.fails(function() load(m.join(users, { on = "user", columns = "contry" })) end, "did you mean 'country'?")
  t.fails(function() load(m.join(users, { on = "user" }), m.join(users, { on = "user" })) end, "m.join: the events have a column 'country' already")
end)

t.done()
