--- recipe.lua - every word for features, on the example shop: what there is to choose from, and how it is written.
---
---   moonshelf check  examples/features/recipe.lua --data out/shop --plan
---   moonshelf parity examples/features/recipe.lua --data out/shop
---   moonshelf train  examples/features/recipe.lua --data out/shop --out out/features
---
--- A recipe that earns its keep has a dozen of these; examples/shop has such a choice.

local m = require "moonshelf"

local events = m.csv "events.csv" {
  user = "user_id", item = "item_id", event = "event", time = "timestamp:time", place = "position:number",
}
local items = m.csv "items.csv" {
  item = "item_id", product = "product", title = "title", category = "category", brand = "brand",
  price = "price:number", stock = "stock:number", launched = "launched:time",
}

local looks = m.count("user", "view", "7d")

return m.recipe "features" {
  events = events,
  items = items,
  preprocess = { m.drop_missing { "user", "item", "time" }, m.filter(function(row) return row.event ~= "bot" end) },
  label = m.label { positive = "purchase", of = "view", within = "24h" },
  state = { ttl = "45d" }, -- who was not seen for so long is somebody new

  features = {
    -- What it is, as embeddings.
    m.id "item" { dim = 8, min_count = 20 },
    m.id "user" { dim = 4, hash = 5000 },
    m.category "category" { dim = 4 },
    m.category "brand" { dim = 4, min_count = 5 },
    m.cross({ "category", "brand" }, { dim = 4, hash = 500 }),
    m.words "title" { dim = 4 },
    m.tfidf("title", { dim = 8 }),
    m.lua("material", function(item) return item.title:match("%f[%a](%a+)%s%a+$") end, { dim = 2 }),

    -- Numbers of the item, and steps.
    m.log "price",
    m.relative("price", "category"),
    m.bucketize("price", 8, { dim = 2 }),
    m.scale(m.clip("price", 5, 200), "quantile"),
    m.log(m.age "launched"),

    -- The moment.
    m.hour { dim = 2, zone = "Europe/Amsterdam" },
    m.weekday { dim = 2, zone = "Europe/Amsterdam" },
    m.position("place", { serving = 1 }),

    -- The past of the item.
    m.count("item", "view", { "1h", "1d", "7d" }),
    m.count("item", "any", "1d", { by = "brand" }),
    m.rate("item", "purchase", "view", { over = "7d", prior = { 1, 20 } }),
    m.decay("item", "view", "1d"),
    m.bucketize(m.recency("item", "purchase"), { "1h", "1d", "7d" }, { dim = 2 }),

    -- The past of the user, and of the user with such items.
    m.count("user", "view", { "1h", "1d", "all" }),
    m.count("user", "view", { "1d", "all" }, { by = "category" }),
    m.rate("user", "cart", "view", { prior = { 1, 10 } }),
    m.recency("user", "any"),
    m.decay("user", "view", "3d", { by = "brand" }),
    m.interacted_with("view", { within = "7d" }),
    m.cooccurrence("view", { last = 10 }),

    -- Whatever else: arithmetic on other numbers, computed in C.
    m.lua("dear", { "price", m.mean("user", "view", "price", { half_life = "14d" }), looks }, function(price, usual, n)
      return m.when(n:ge(3), price / usual, 1)
    end),

    -- The last things that the user did, as items, as categories, and how long ago.
    m.history("item", { last = 20, of = { "view", "cart", "purchase" } }),
    m.history("category", { last = 10 }),
    m.history("gap", { last = 20, dim = 2 }),
  },

  model = m.nn.sequential { m.nn.dense(64, "relu"), m.nn.dense(32, "relu"), m.nn.dense(1, "sigmoid") },
  train = {
    loss = "bce", optimizer = m.nn.adam { lr = 5e-4 }, epochs = 10, batch = 256, patience = 1, seed = 42,
    split = m.split.by_time { 0.8, 0.1, 0.1 },
  },
  evaluate = { "accuracy", "auc", "logloss", "recall@20", "ndcg@20", "coverage" },
}
