-- The words for features: what the plan says, and what is refused.
local t = require "harness"
local m = require "moonshelf"

local HOUR, DAY = 3600 * 1000000.0, 86400 * 1000000.0

t.test("m.id is a feature alone and with options", function()
  t.has(t.feature(m.id "user"), { op = "id", name = "user", entity = "user", dim = 16, min_count = 1, hash = 0 })
  t.has(t.feature(m.id "user" { dim = 8, min_count = 3, hash = 2 ^ 18 }), { dim = 8, min_count = 3, hash = 262144 })
  t.has(t.feature(m.id "user" {}), { dim = 16 })
  local alone = m.id "user"
  local changed = alone { dim = 2 }
  t.has(t.feature(alone), { dim = 16 }, "calling a feature leaves it as it was")
  t.has(t.feature(changed), { dim = 2 })
end)

t.test("m.category, m.numeric and m.log name a column of the items", function()
  t.has(t.feature(m.category "category" { dim = 4, min_count = 2 }),
    { op = "category", name = "category", column = "category", dim = 4, min_count = 2 })
  t.has(t.feature(m.category "category"), { dim = 16, min_count = 1 })
  t.has(t.feature(m.numeric "price"), { op = "numeric", name = "price", column = "price" })
  t.has(t.feature(m.log "price"), { op = "numeric", name = "log(price)", column = "price", steps = { { op = "log" } } })
end)

t.test("m.cross, m.tags and m.words make ids of columns", function()
  t.has(t.feature(m.cross({ "user", "category" }, { dim = 4, hash = 100 })),
    { op = "cross", name = "user*category", columns = { "user", "category" }, dim = 4, hash = 100 })
  t.has(t.feature(m.tags "category"),
    { op = "tags", name = "category", column = "category", separator = "|", max = 8, dim = 16, min_count = 1, hash = 0 })
  t.has(t.feature(m.tags "category" { sep = ", ", max = 3, min_count = 2 }), { separator = ", ", max = 3, min_count = 2 })
  local words = t.feature(m.words "category" { hash = 2 ^ 16, dim = 8 })
  t.has(words, { op = "tags", max = 16, hash = 65536, dim = 8 })
  t.equal(words.separator, nil)
end)

t.test("m.tfidf and m.embedding_file bring numbers and vectors", function()
  t.has(t.feature(m.tfidf("category", { dim = 8, min_count = 2 })),
    { op = "tfidf", name = "tfidf(category)", column = "category", dim = 8, min_count = 2 })
  t.has(t.feature(m.embedding_file "item" { file = "a/titles.npy", ids = "ids.txt", dim = 32 }),
    { op = "embedding_file", name = "titles", entity = "item", file = "a/titles.npy", ids = "ids.txt", dim = 32, freeze = true })
  t.has(t.feature(m.embedding_file "user" { file = "u.safetensors", ids = "ids.txt", dim = 4, tensor = "x", freeze = false }),
    { entity = "user", tensor = "x", freeze = false })
  t.fails(function() m.embedding_file "shelf" end, 'there is no "shelf"')
  t.fails(function() m.embedding_file "item" { file = "t.npy", ids = "i" } end, "m.embedding_file \"item\": 'dim' is missing")
  t.fails(function() m.embedding_file "item" { file = "t.csv", ids = "i", dim = 3 } end, 'file must end in .npy or .safetensors, got "t.csv"')
  t.fails(function() return t.recipe { features = { m.tfidf "titel" } } end, "m.tfidf: the items have no column 'titel'")
end)

t.test("m.text_embedding makes vectors of a column", function()
  t.has(t.feature(m.text_embedding "category" { checkpoint = "a/minilm", dim = 384, normalize = true, max_length = 32 }),
    { op = "embedding_file", name = "text_embedding(category)", entity = "item", text = "category", checkpoint = "a/minilm", dim = 384, pooling = "mean",
      normalize = true, max_length = 32, freeze = true })
  t.fails(function() m.text_embedding "category" { dim = 4 } end, "m.text_embedding \"category\": 'checkpoint' is missing")
  t.fails(function() m.text_embedding "category" { checkpoint = "a", dim = 4, pooling = "max" } end, 'there is no "max"')
  t.fails(function() return t.recipe { features = { m.text_embedding "titel" { checkpoint = "a", dim = 4 } } } end,
    "m.text_embedding: the items have no column 'titel'")
end)

t.test("a history is of items, of a category of theirs, or of how long ago", function()
  local plan = t.plan(t.recipe { features = { m.id "item", m.category "category", m.history("category", { last = 3 }), m.history("gap", { dim = 2 }) },
    model = m.nn.sequential { m.nn.flatten { input = "history.2" }, m.nn.dense(1, "sigmoid") } })
  t.has(plan.features[3], { op = "history", of = "category", last = 3, name = "history(category)" })
  t.has(plan.features[4], { op = "history", of = "gap", dim = 2, last = 50 })
end)

t.test("steps work on any number, one after the other, and leave it as it was", function()
  local count = m.count("item", "view", "1h")
  local scaled = m.scale(m.clip(count, 0, 10), "quantile")
  t.has(t.feature(scaled), { op = "count", name = "scale(clip(count(item,view)))",
    steps = { { op = "clip", bounds = { 0, 10 } }, { op = "scale", by = "quantile" } } })
  t.has(t.feature(m.scale "price"), { op = "numeric", steps = { { op = "scale", by = "standard" } } })
  t.has(t.feature(count), { name = "count(item,view)" })
  t.equal(t.feature(count).steps, nil)
  t.has(t.feature(m.bucketize("price", { 1, 2.5, "1h" }, { dim = 4 })),
    { name = "bucketize(price)", dim = 4, steps = { { op = "bucketize", edges = { 1, 2.5, 3600 } } } })
  t.has(t.feature(m.bucketize(count, 10)), { dim = 16, steps = { { op = "bucketize", buckets = 10 } } })
end)

t.test("wrong steps are named", function()
  t.fails(function() m.log(m.id "item") end, "m.log must be the name of a number column or a number such as m.count(...), got a feature")
  t.fails(function() m.clip(m.bucketize("price", 4), 0, 1) end, "m.clip must be the name of a number column")
  t.fails(function() m.clip("price", 3, 3) end, "low must be below high, got 3 and 3")
  t.fails(function() m.clip("price", 3) end, "m.clip: high must be a number, got nothing")
  t.fails(function() m.scale("price", "min-max") end, 'm.scale: the way: there is no "min-max"; did you mean \'minmax\'?')
  t.fails(function() m.bucketize("price", { 2, 1 }) end, "m.bucketize: edge 2 must be above edge 1")
  t.fails(function() m.bucketize("price", 1) end, "m.bucketize: the buckets must be a whole number from 2 to 1000, got 1")
  t.fails(function() m.bucketize("price", { "soon" }) end, "m.bucketize: edge 1 must be a duration")
  t.fails(function() m.bucketize("price") end, "m.bucketize: the edges must be a list of rising numbers")
  t.fails(function() m.bucketize(m.count("item", "view", { "1h", "1d" }), 4) end, "takes one number; m.count has 2 windows here")
end)

t.test("m.count gives one window or several; all time is 0", function()
  t.has(t.feature(m.count("item", "view")), { op = "count", entity = "item", kinds = { "view" }, windows_us = { 0 }, name = "count(item,view)" })
  t.has(t.feature(m.count("user", { "view", "cart" }, "1h")), { entity = "user", kinds = { "view", "cart" }, windows_us = { HOUR } })
  t.has(t.feature(m.count("item", "any", { "1h", "7d", "all" })), { kinds = {}, windows_us = { HOUR, 7 * DAY, 0 }, name = "count(item,any)" })
  t.has(t.feature(m.count("item", { "any" }, "1h")), { kinds = {} })
end)

t.test("m.rate has a window and a prior", function()
  t.has(t.feature(m.rate("item", "purchase", "view")), {
    op = "rate", entity = "item", numerator = { "purchase" }, denominator = { "view" }, over_us = 0, prior = { 1, 20 },
    name = "rate(item,purchase/view)",
  })
  t.has(t.feature(m.rate("user", { "a", "b" }, "any", { over = "7d", prior = { 0, 0.5 } })),
    { numerator = { "a", "b" }, denominator = {}, over_us = 7 * DAY, prior = { 0, 0.5 }, name = "rate(user,a+b/any)" })
  t.has(t.feature(m.rate("item", "a", "b", { over = "all" })), { over_us = 0 })
end)

t.test("what happened is counted by the item, by a column, with decay, since the last time", function()
  t.has(t.feature(m.count("user", "view", "1h", { by = "category" })), { by = "category", name = "count(user,view,category)" })
  t.has(t.feature(m.rate("user", "a", "b", { by = "category" })), { by = "category", name = "rate(user,a/b,category)" })
  t.has(t.feature(m.decay("item", "view", "3d")), { op = "decay", half_life_us = 3 * DAY, name = "decay(item,view,3d)" })
  t.has(t.feature(m.recency("user", "any", { by = "item", never = "7d" })),
    { op = "recency", by = "item", kinds = {}, never_us = 7 * DAY, name = "recency(user,any,item)" })
  t.has(t.feature(m.recency("item", "view")), { never_us = 365 * DAY })
  t.has(t.feature(m.interacted_with("purchase", { within = "1h" })), { op = "count", entity = "user", by = "item", windows_us = { HOUR },
    kinds = { "purchase" }, steps = { { op = "clip", bounds = { 0, 1 } } }, name = "interacted_with(purchase)" })
end)

t.test("m.relative and m.mean compare numbers of items", function()
  t.has(t.feature(m.relative("price", "category")), { op = "relative", name = "relative(price,category)", column = "price", by = "category" })
  t.has(t.feature(m.mean("user", "view", "price")), { op = "mean", name = "mean(user,view,price)", entity = "user", kinds = { "view" },
    column = "price", half_life_us = 0 })
  t.has(t.feature(m.log(m.mean("item", "any", "price", { half_life = "7d", by = "category" }))),
    { name = "log(mean(item,any,price,category))", half_life_us = 7 * DAY, by = "category", steps = { { op = "log" } } })
  t.fails(function() m.mean("item", "view", "price") end, 'm.mean: the price of an item is the same in all its events; by = "category"')
  t.fails(function() m.mean("user", "view") end, "m.mean: the column must be a string, got nothing")
  t.fails(function() m.relative "price" end, "m.relative: by must be a string, got nothing")
  t.fails(function() return t.recipe { features = { m.relative("price", "brand") } } end, "m.relative: the items have no column 'brand'")
  t.fails(function() return t.recipe { features = { m.relative("prise", "category") } } end, "did you mean 'price'?")
  t.fails(function() return t.recipe { features = { m.mean("user", "view", "prise", { by = "category" }) } } end, "m.mean: the items have no column 'prise'")
end)

t.test("m.cooccurrence says how many of the last items count", function()
  t.has(t.feature(m.cooccurrence "view"), { op = "cooccurrence", name = "cooccurrence(view)", kinds = { "view" }, last = 10, pairs = 1000000 })
  t.has(t.feature(m.log(m.cooccurrence({ "view", "cart" }, { last = 3, pairs = 5000 }))), { last = 3, pairs = 5000, steps = { { op = "log" } } })
  t.fails(function() m.cooccurrence() end, "m.cooccurrence: the event kind")
  t.fails(function() m.cooccurrence("view", { last = 101 }) end, "m.cooccurrence: last must be a whole number from 1 to 100, got 101")
end)

t.test("m.hour, m.weekday and m.age tell the time", function()
  t.has(t.feature(m.hour()), { op = "clock", unit = "hour", zone_us = 0, dim = 16, name = "hour" })
  t.has(t.feature(m.weekday { zone = "-03:30", dim = 2 }), { op = "clock", unit = "weekday", zone_us = -3.5 * HOUR, dim = 2 })
  local there = t.feature(m.hour { zone = "CET-1CEST,M3.5.0,M10.5.0/3" })
  t.has(there, { zone = "CET-1CEST,M3.5.0,M10.5.0/3" })
  t.equal(there.zone_us, nil)
  t.has(t.feature(m.bucketize(m.hour(), { 6, 12 })), { op = "clock", dim = 16, steps = { { op = "bucketize", edges = { 6, 12 } } } })
  local plain = t.feature(m.clip(m.hour(), 0, 12))
  t.equal(plain.dim, nil)
  t.has(t.feature(m.log(m.position("rating", { serving = 2 }))),
    { op = "position", column = "rating", serving = 2, name = "log(rating)", steps = { { op = "log" } } })
  t.fails(function() return t.recipe { features = { m.position "place" } } end, "m.position: the events have no column 'place'")
  t.fails(function() m.position("rating", { serving = "top" }) end, "m.position: serving must be a number")
  local plan = t.plan(t.recipe { items = m.csv "items.csv" { item = "i", added = "added:time_s" }, features = { m.age "added" } })
  t.has(plan.features[1], { op = "age", column = "added", name = "age(added)" })
end)

t.test("wrong words of the past and of time are named", function()
  t.fails(function() m.count("user", "view", "1h", { by = 3 }) end, "m.count: by must be a string, got 3")
  t.fails(function() m.count("item", "view", "1h", { by = "item" }) end, 'm.count: by: "item" is for the user')
  t.fails(function() m.rate("item", "a", "b", { by = "item" }) end, 'm.rate: by: "item" is for the user')
  t.fails(function() m.decay("item", "view") end, "m.decay: the half-life must be a duration")
  t.fails(function() m.decay("shelf", "view", "1d") end, 'm.decay: the first argument: there is no "shelf"')
  t.fails(function() m.recency("user", "view", { nevr = "1d" }) end, "m.recency: unknown option 'nevr'; did you mean 'never'?")
  t.fails(function() m.interacted_with() end, "m.interacted_with: the event kind")
  t.fails(function() m.hour { zone = "Europe/Amsterdm" } end, "m.hour: zone: 'Europe/Amsterdm' is no time zone such as \"+02:00\"")
  t.fails(function() m.hour { zone = 1 } end, 'm.hour: zone must be a zone such as "+01:00" or "Europe/Amsterdam", got 1')
  t.fails(function() m.weekday "UTC" end, "m.weekday must be given a table of options")
  t.fails(function() m.age() end, "m.age must be a string, got nothing")
  t.fails(function() return t.recipe { features = { m.id "item", m.count("user", "view", "1h", { by = "colour" }) } } end,
    "m.count: the items have no column 'colour'")
  t.fails(function() return t.recipe { items = false, features = { m.id "item", m.age "price" } } end,
    'm.age "price" reads the items, but the recipe has no items')
end)

t.test("m.history has a length and kinds", function()
  t.has(t.feature(m.history "item"), { op = "history", name = "history(item)", last = 50, kinds = {} })
  t.has(t.feature(m.history("item", { last = 5, of = { "view", "cart" } })), { last = 5, kinds = { "view", "cart" } })
  t.has(t.feature(m.history("item", { of = "any" })), { kinds = {} })
end)

t.test("empty lists stay lists in the plan", function()
  local text = m.plan(t.recipe { features = { m.id "item", m.count("item", "any", "1h"), m.history "item" } })
  local _, count = text:gsub('"kinds":%[%]', "")
  t.equal(count, 2)
end)

t.test("wrong entities, kinds and columns are named", function()
  t.fails(function() m.id() end, "m.id must be one of user, item, got nothing")
  t.fails(function() m.id "itme" end, "did you mean 'item'?")
  t.fails(function() m.count("product", "view") end, 'm.count: the first argument: there is no "product"')
  t.fails(function() m.count("item") end, "m.count: the event kind must be a string or a list of strings, got nothing")
  t.fails(function() m.count("item", { "any", "view" }) end, '"any" stands alone')
  t.fails(function() m.rate("item", "purchase") end, "m.rate: the denominator", "got nothing")
  t.fails(function() m.rate("itm", "a", "b") end, "did you mean 'item'?")
  t.fails(function() m.history() end, "m.history must be a string, got nothing")
  t.fails(function() return t.recipe { features = { m.id "item", m.category "category", m.history "categry" } } end,
    "m.history shares the embeddings of m.category \"categry\": add that feature; did you mean 'category'?")
  t.fails(function() m.category() end, "m.category must be a string")
  t.fails(function() m.numeric { "price" } end, "m.numeric must be a string, got a table")
end)

t.test("wrong options are named", function()
  t.fails(function() m.id "user" { dimm = 3 } end, "m.id \"user\": unknown option 'dimm'; did you mean 'dim'?")
  t.fails(function() m.id "user" { dim = 0 } end, "m.id \"user\": dim must be a whole number from 1 to 1024, got 0")
  t.fails(function() m.id "user" { dim = 2.5 } end, "got 2.5")
  t.fails(function() m.id "user" { min_count = -1 } end, "min_count must be a whole number, 0 or more")
  t.fails(function() m.id "user" { hash = 1 } end, "hash must be a whole number from 2 to 2147483648")
  t.fails(function() m.id "user" (16) end, "must be given a table of options, got 16")
  t.fails(function() m.category "c" { hsh = 8 } end, "unknown option 'hsh'; did you mean 'hash'?")
  t.fails(function() m.history("item", { dim = 3 }) end, "unknown option 'dim'")
  t.fails(function() m.tags "t" { max = 0 } end, 'm.tags "t": max must be a whole number from 1 to 256, got 0')
  t.fails(function() m.words "t" { sep = "," } end, "m.words \"t\": unknown option 'sep'")
  t.fails(function() m.cross { "a" } end, "m.cross: 2 to 8 columns are crossed, got 1")
  t.fails(function() m.cross { "a", "a" } end, "m.cross: the columns names 'a' twice")
  t.fails(function() return t.recipe { features = { m.cross { "user", "categry" } } } end,
    "m.cross: the items have no column 'categry'; did you mean 'category'?")
  t.fails(function() return t.recipe { features = { m.words "titel" } } end, "m.words: the items have no column 'titel'")
  t.fails(function() m.count("item", "view", "1 hour") end, "m.count: window 1 must be a duration such as")
  t.fails(function() m.count("item", "view", { "1d", "24h" }) end, "the windows '1d' and '24h' are the same")
  t.fails(function() m.count("item", "view", { "1h", "2h", "3h", "4h", "5h", "6h", "7h", "8h", "9h" }) end, "at most 8 windows, got 9")
  t.fails(function() m.rate("item", "a", "b", { over = "later" }) end, "m.rate: over must be a duration")
  t.fails(function() m.rate("item", "a", "b", { prior = { 1 } }) end, "prior must be two numbers { a, b }")
  t.fails(function() m.rate("item", "a", "b", { prior = { 1, 0 } }) end, "prior[2] must be a number above 0, got 0")
  t.fails(function() m.rate("item", "a", "b", { prior = { -1, 1 } }) end, "prior[1] must be a number at least 0, got -1")
  t.fails(function() m.rate("item", "a", "b", { ovr = "1d" }) end, "did you mean 'over'?")
  t.fails(function() m.history("item", { last = 0 }) end, "m.history: last must be a whole number from 1 to 1000, got 0")
  t.fails(function() m.history("item", 50) end, "m.history must be given a table of options, got 50")
end)

t.test("whole numbers are taken exactly within their limits", function()
  for _, value in ipairs { -5, 0, 1, 2, 1023, 1024, 1025, 1.0, 1.5, 64.0, 2 ^ 40, 0 / 0, math.huge } do
    local fits = value == math.floor(value) and value >= 1 and value <= 1024
    t.equal(pcall(m.id "user", { dim = value }), fits, tostring(value))
  end
end)

---------------------------------------------------------------------------------------------------- functions

--- The plan of a formula of two numbers.
local function formula(fn)
  return t.feature(m.lua("f", { "price", m.count("user", "view", "7d") }, fn))
end

local function ops(fn)
  local names = {}
  for i, node in ipairs(formula(fn).code) do names[i] = node.op end
  return table.concat(names, " ")
end

t.test("m.lua of items makes a column of them", function()
  local length = m.lua("length", function(item) return #item.category end)
  local plan = t.plan(t.recipe { preprocess = { m.filter(function() return true end) }, features = { m.id "item", length, m.log(length),
    m.lua("half", { length }, function(n) return n / 2 end), m.lua("kind", function() return "a" end, { dim = 3 }) } })
  t.equal(#plan.item_columns, 2)
  t.has(plan.item_columns[1], { op = "map", column = "length", fn = 2 })
  t.has(plan.item_columns[2], { op = "map", column = "kind", fn = 3 })
  t.has(plan.features[2], { op = "column", column = "length", name = "length", dim = 16 })
  t.equal(plan.features[2].fn, nil)
  t.has(plan.features[3], { op = "column", column = "length", name = "log(length)", steps = { { op = "log" } } })
  t.equal(plan.features[3].dim, nil)
  t.has(plan.features[4].inputs[1], { op = "column", column = "length", steps = {} })
  t.equal(plan.features[4].inputs[1].fn, nil)
  t.has(plan.features[5], { dim = 3 })
end)

t.test("m.lua of numbers leaves the operations of its answer", function()
  local plan = formula(function(price, views) return price / (views + 1) end)
  t.has(plan, { op = "formula", name = "f", code = {
    { op = "input", of = { 1 } }, { op = "input", of = { 2 } }, { op = "number", value = 1 }, { op = "add", of = { 2, 3 } },
    { op = "div", of = { 1, 4 } } } })
  t.has(plan.inputs[1], { op = "numeric", column = "price", steps = {} })
  t.has(plan.inputs[2], { op = "count", entity = "user", windows_us = { 7 * DAY }, steps = {} })
  t.equal(ops(function(x, y) return -x ^ 2 - m.min(y, 3, x) * m.max(x, y) end), "input input number pow neg number min min max mul sub")
  t.equal(ops(function(x, y) return m.abs(x) + m.floor(m.sqrt(m.exp(m.ln(m.log(y))))) end), "input input abs log ln exp sqrt floor add")
  t.equal(ops(function(x, y) return x // y end), "input input div floor")
  t.equal(ops(function(x, y) return x % y end), "input input div floor mul sub")
  t.equal(ops(function(x, y) return m.when(x:lt(y) & ~x:ge(2) | y:known(), x, 1) end),
    "input input lt number le not and known or number when")
  t.has(formula(function(x, y) return m.when(x:gt(y), 1, 0) end).code[3], { op = "lt", of = { 2, 1 } }, "gt is lt turned round")
  t.equal(ops(function(x, y) return m.when(x:ne(y), 1, 0) end), "input input eq not number number when")
  t.equal(ops(function(x, y)
    local _ = x * 17
    return x + y
  end), "input input add", "what the answer is not made of is left out")
  local steps = t.feature(m.bucketize(m.lua("b", { m.log "price" }, function(x) return x * 2 end), 5, { dim = 2 }))
  t.has(steps, { op = "formula", name = "bucketize(b)", dim = 2, steps = { { op = "bucketize", buckets = 5 } } })
  t.has(steps.inputs[1], { steps = { { op = "log" } } })
end)

t.test("what cannot be seen with symbols is refused at its line", function()
  t.fails(function() formula(function(x, y) return x < y and x or y end) end, "have no value yet: write x:lt(y) or x:gt(y) and m.when(condition, a, b)")
  t.fails(function() formula(function(x, y) return x >= 3 and x or y end) end, "write x:le(y) or x:ge(y)")
  t.fails(function() formula(function(x, y) return x == y and x or y end) end, "write x:eq(y) or x:ne(y)")
  t.fails(function()
    formula(function(x, y)
      if x:lt(y) then return x end
      return y
    end)
  end, "this condition changes nothing; `if`, `and`, `or` and `not` cannot see into it: write m.when")
  t.fails(function() formula(function(x, y) return x == 0 and 0 or y end) end, "is not made of its argument 1 (price); a test such as x == 0")
  t.fails(function() formula(function(x) return (math.log(x)) end) end, "write m.log(x), m.ln(x)")
  t.fails(function() formula(function(x, y) return (math.max(x, y)) end) end, "or m.max(a, b)")
  t.fails(function() formula(function(x) return (("x"):rep(x)) end) end, "got a number of m.lua")
  t.fails(function() formula(function(x) return x .. "" end) end, "are no texts; for texts of an item write m.lua(name, function(item)")
  t.fails(function() formula(function(x) return #x end) end, "have no length")
  t.fails(function() formula(function(x) return x.price end) end, "a number of m.lua has no 'price'")
  t.fails(function() formula(function(x) x.y = 1 end) end, "has no fields")
  t.fails(function() formula(function(x, y) return x:lt(y) + 1 end) end, "a condition is no number: write m.when(condition, 1, 0)")
  t.fails(function() formula(function(x, y) return m.when(x, 1, y) end) end, "m.when wants a condition such as x:lt(5), got a number")
  t.fails(function() formula(function(x, y) return m.when(x:lt(y) & true, 1, y) end) end, "& wants a condition such as x:lt(5), got true")
  t.fails(function() formula(function(x, y) return m.max(x, y:lt(2)) end) end, "m.max wants a number, got a condition")
  t.fails(function() formula(function(x) return x + "1" end) end, '+ wants a number, got the string "1"')
  t.fails(function() formula(function(x) return x + 1 / 0 end) end, "+ wants a number, got inf")
  t.fails(function() formula(function(x) return x + m.numeric "price" end) end, "+ wants a number, got a feature")
  t.fails(function() formula(function() return 5 end) end, 'm.lua "f": the function must answer a number made of its arguments, got 5')
  t.fails(function() formula(function() end) end, "got nothing")
  t.fails(function() formula(function(x, y) return x:lt(y) end) end, "got a condition: write m.when(condition, 1, 0)")
  t.fails(function()
    formula(function(x, y)
      for _ = 1, 200 do x = x + y end
      return x
    end)
  end, "a formula has at most 128 operations, got 202")
  local kept
  formula(function(x, y)
    kept = x
    return x + y
  end)
  t.fails(function() return m.min(1, 2) end, "inside its function only")
  t.fails(function() formula(function(x, y) return x + y + kept end) end, "kept from the function of another m.lua")
end)

t.test("wrong arguments of m.lua are named", function()
  local function half(x) return x / 2 end
  t.fails(function() m.lua() end, "m.lua must be a string, got nothing")
  t.fails(function() m.lua "f" end, 'm.lua "f" must be given a function of an item, or a list of numbers and a function of them, got nothing')
  t.fails(function() m.lua("f", "price", half) end, "got the string \"price\"")
  t.fails(function() m.lua("f", {}, half) end, "the numbers must not be empty")
  t.fails(function() m.lua("f", { "price" }) end, "the function must be a function, got nothing")
  t.fails(function() m.lua("f", { m.id "item" }, half) end, "number 1 must be the name of a number column or a number")
  t.fails(function() m.lua("f", { m.count("item", "view", { "1h", "1d" }) }, half) end, "m.count has 2 windows here: give one m.count for each")
  t.fails(function() m.lua("f", { m.scale "price" }, half) end, "m.scale is for what comes out: m.scale(m.lua(...))")
  t.fails(function() m.lua("f", { m.lua("g", { "price" }, half) }, half) end, "a formula cannot go into another; write it in one function")
  t.fails(function() m.lua("f", half, { dimm = 2 }) end, "unknown option 'dimm'; did you mean 'dim'?")
  t.fails(function() return t.recipe { features = { m.lua("price", half) } } end, "the items have a column 'price'; choose another name")
  t.fails(function() return t.recipe { features = { m.lua("a", half), m.log(m.lua("a", function() return 1 end)) } } end, "another function makes 'a'")
  t.fails(function() return t.recipe { items = false, features = { m.id "item", m.lua("a", half) } } end,
    'm.lua "a" reads the items, but the recipe has no items')
  t.fails(function() return t.recipe { features = { m.lua("f", { "prise" }, half) } } end, "m.numeric: the items have no column 'prise'; did you mean 'price'?")
end)

t.done()
