-- m.csv, m.tsv and the label.
local t = require "harness"
local m = require "moonshelf"

local function events(columns) return t.plan(t.recipe { events = m.csv "e.csv"(columns) }).sources.events end
local WHOLE = { user = "u", item = "i", time = "t", event = "e" }

local function column(source, name)
  for _, c in ipairs(source.columns) do
    if c.name == name then return c end
  end
end

t.test("a table gives file, delimiter and columns in the order of their names", function()
  local source = events { user = "user_id", item = "item_id", time = "ts:time_ms", event = "what" }
  t.has(source, { file = "e.csv", delimiter = "," })
  t.equal(source.columns, {
    { name = "event", from = "what" }, { name = "item", from = "item_id" }, { name = "time", from = "ts", type = "time_ms" },
    { name = "user", from = "user_id" },
  })
  local tabs = t.plan(t.recipe { events = m.tsv "e.tsv"(WHOLE) }).sources.events
  t.has(tabs, { file = "e.tsv", delimiter = "\t" })
end)

t.test("several files stand in the plan as a list", function()
  t.equal(t.plan(t.recipe { events = m.csv { "a.csv", "b-*.csv" } (WHOLE) }).sources.events.file, { "a.csv", "b-*.csv" })
end)

t.test("JSON Lines are a format of their own", function()
  local source = t.plan(t.recipe { events = m.jsonl "e.jsonl" { user = "who.id", item = "i", time = "t:time_ms", event = "e" } }).sources.events
  t.has(source, { format = "jsonl", file = "e.jsonl" })
  t.equal(column(source, "user"), { name = "user", from = "who.id" })
end)

t.test("databases name a table or a query among the columns", function()
  local columns = { table = "log", user = "u", item = "i", time = "t:time_s", event = "e" }
  local source = t.plan(t.recipe { events = m.sqlite "shop.db" (columns) }).sources.events
  t.has(source, { format = "sqlite", file = "shop.db", table = "log" })
  t.equal(#source.columns, 4)
  t.equal(columns.table, "log") -- the user's table is as it was
  columns.table, columns.query = nil, "select 1"
  t.has(t.plan(t.recipe { events = m.postgres "dbname=shop" (columns) }).sources.events, { format = "postgres", query = "select 1" })
  t.fails(function() m.sqlite "s.db" { user = "u" } end, 'm.sqlite "s.db": either table = or query = is needed')
  t.fails(function() m.sqlite "s.db" { table = "a", query = "b", user = "u" } end, "either table = or query =")
  t.fails(function() m.sqlite "s.db" { table = 5, user = "u" } end, 'm.sqlite "s.db": table must be a string, got 5')
  t.fails(function() m.sqlite "s.db" { table = "a" } end, "at least one column")
  t.fails(function() m.sqlite { "a.db" } end, "m.sqlite must be a string")
  t.fails(function() m.postgres "x" { table = "a", price = "p:nubmer" } end, "m.postgres: column 'price': type", "did you mean 'number'?")
end)

t.test("only what follows the last colon is a type", function()
  for _, kind in ipairs { "string", "number", "integer", "time", "time_s", "time_ms", "time_us" } do
    local found = column(events { user = "u", item = "i", time = "t", event = "e", x = "a:b:" .. kind }, "x")
    t.equal(found, { name = "x", from = "a:b", type = kind })
  end
  t.fails(function() m.csv "e.csv" { price = "price:nubmer" } end, "m.csv \"e.csv\": column 'price': type", '"nubmer"', "did you mean 'number'?")
  t.fails(function() m.csv "e.csv" { price = "price:" } end, "type", '""')
end)

t.test("a table says what is wrong with it", function()
  t.fails(function() m.csv(5) end, "m.csv must be a string or a list of strings, got 5")
  t.fails(function() m.csv "" end, "empty")
  t.fails(function() m.csv {} end, "m.csv must not be empty")
  t.fails(function() m.csv { "a.csv", "a.csv" } end, "names 'a.csv' twice")
  t.fails(function() m.jsonl { "a", "b", "c" } {} end, 'm.jsonl "a" and 2 more: at least one column')
  t.fails(function() m.csv "e.csv"() end, 'm.csv "e.csv" must be given a table of columns', "got nothing")
  t.fails(function() m.csv "e.csv" {} end, "at least one column")
  t.fails(function() m.csv "e.csv" { "user_id" } end, 'columns are written name = "header", got the string "user_id" alone')
  t.fails(function() m.csv "e.csv" { user = 5 } end, "column 'user' must be a string, got 5")
  t.fails(function() m.csv "e.csv"(m.id "user") end, "got a feature")
end)

t.test("texts that mean nothing are named with the file", function()
  local source = t.plan(t.recipe { events = m.csv("e.csv", { missing = { "NA", "?" } })(WHOLE) }).sources.events
  t.equal(source.missing, { "NA", "?" })
  t.fails(function() m.csv("e.csv", { mising = "NA" }) end, "unknown option 'mising'", "did you mean 'missing'?")
  t.fails(function() m.csv("e.csv", { missing = 5 }) end, "missing", "got 5")
end)

t.test("a label by events", function()
  t.has(t.plan(t.recipe { label = m.label { positive = { "buy", "cart" }, of = "view", within = "2w" } }).label,
    { positive = { "buy", "cart" }, of = { "view" }, within_us = 14 * 86400 * 1000000 })
end)

t.test("a label by a column", function()
  local plan = t.plan(t.recipe { label = m.label { column = "rating", at_least = 4 } })
  t.has(plan.label, { column = "rating", at_least = 4 })
  t.equal(plan.label.positive, nil)
end)

t.test("a label says what is wrong with it", function()
  t.fails(function() m.label() end, "m.label must be given { positive=", "got nothing")
  t.fails(function() m.label {} end, "is missing")
  t.fails(function() m.label { positive = "buy", of = "view" } end, "'within' is missing")
  t.fails(function() m.label { postive = "buy", of = "view", within = "1d" } end, "unknown option 'postive'; did you mean 'positive'?")
  t.fails(function() m.label { positive = "buy", of = "view", within = "soon" } end, "within must be a duration such as", 'got the string "soon"')
  t.fails(function() m.label { positive = "buy", of = "view", within = 5 } end, "got 5")
  t.fails(function() m.label { positive = "buy", of = "view", within = "0h" } end, "duration")
  t.has(t.plan(t.recipe { label = m.label { column = "rating", at_least = 4, negatives = 2 } }).label, { negatives = 2 })
  t.fails(function() m.label { column = "rating", at_least = 4, negatives = -1 } end, "negatives must be a whole number from 0 to 1000, got -1")
  t.fails(function() m.label { column = "rating" } end, "'at_least' is missing")
  t.fails(function() m.label { column = "rating", at_least = "4" } end, "at_least must be a number")
  t.fails(function() m.label { column = "rating", at_least = 0 / 0 } end, "at_least must be a number")
  t.fails(function() m.label { column = "rating", at_least = 4, of = "view" } end, "unknown option 'of'")
end)

t.test("negatives are drawn evenly, by popularity or from the batch", function()
  local function drawn(negatives)
    local label = t.plan(t.recipe { label = m.label { positive = "b", of = "v", within = "1d", negatives = negatives } }).label
    return { label.negatives, label.sampling }
  end
  t.equal(drawn(nil), { 0 })
  t.equal(drawn(4), { 4 })
  t.equal(drawn { 4 }, { 4 })
  t.equal(drawn { 4, by = "uniform" }, { 4 })
  t.equal(drawn { 4, by = "popularity" }, { 4, { by = "popularity", power = 0.75 } })
  t.equal(drawn { 4, by = "popularity", power = 1 }, { 4, { by = "popularity", power = 1 } })
  t.equal(drawn { 4, by = "batch" }, { 4, { by = "batch" } })
  t.fails(function() m.label { column = "rating", at_least = 4, negatives = { 4, by = "batch", power = 1 } } end, 'power is for by = "popularity"')
  t.fails(function() return t.recipe { label = m.label { column = "rating", at_least = 4, negatives = { 4, by = "batch" } }, train = { batch = 1 } } end,
    'negatives by = "batch" need train = { batch = 2 } or more, got 1')
  t.fails(function() m.label { column = "rating", at_least = 4, negatives = { 4, by = "popularty" } } end,
    "negatives: by: there is no \"popularty\"; did you mean 'popularity'?")
  t.fails(function() m.label { column = "rating", at_least = 4, negatives = { by = "popularity" } } end,
    "negatives must be a whole number from 0 to 1000, got nothing")
  t.fails(function() m.label { column = "rating", at_least = 4, negatives = { 4, power = 1 } } end, 'power is for by = "popularity"')
  t.fails(function() m.label { column = "rating", at_least = 4, negatives = { 4, by = "popularity", power = -1 } } end, "power must be a number at least 0")
  t.fails(function() m.label { column = "rating", at_least = 4, negatives = { 4, of = "view" } } end, "unknown option 'of'")
  t.fails(function() m.label { column = "rating", at_least = 4, negatives = "many" } end, 'got the string "many"')
end)

t.test("durations are counted in microseconds", function()
  local units = { s = 1, m = 60, h = 3600, d = 86400, w = 604800 }
  for unit, seconds in pairs(units) do
    for _, n in ipairs { 1, 7, 30, 999 } do
      local label = t.plan(t.recipe { label = m.label { positive = "b", of = "v", within = n .. unit } }).label
      t.equal(label.within_us, n * seconds * 1000000.0, n .. unit)
    end
  end
end)

t.done()
