--- recipe.lua - from a shop's logs to a model that knows who will buy what.
---
---   moonshelf train examples/shop/recipe.lua --data out/shop --out out/bundle

local m = require "moonshelf"

local events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp:time" }
local items = m.csv "items.csv" {
  item = "item_id", product = "product", title = "title", category = "category", brand = "brand",
  price = "price:number", stock = "stock:number", new = "new:number", margin = "margin:number",
}

return m.recipe "shop" {
  events = events,
  items = items,

  preprocess = {
    m.drop_missing { "user", "item", "time" },
    m.filter(function(row) return row.event ~= "bot" end),
  },

  -- Each look at a product page is an example; it is a good one where the visitor buys within a day.
  label = m.label { positive = "purchase", of = "view", within = "24h" },

  -- Every feature is as it was at the moment of the look: nothing of the future leaks into training, and serving computes
  -- the same. Visitors come without an embedding of their own: a dozen looks each teach it to know them by heart and nothing
  -- else (it costs 0.01 of AUC); what they did lately says more, and also of visitors who are new.
  features = {
    m.id "item" { dim = 8, min_count = 20 },
    m.category "category" { dim = 4 },
    m.category "brand" { dim = 4 },
    m.log "price",
    m.count("item", "view", { "1h", "1d", "7d" }),
    m.rate("item", "purchase", "view", { over = "7d", prior = { 1, 20 } }),
    m.rate("item", "purchase", "view", { over = "all", prior = { 1, 20 } }),
    m.rate("item", "cart", "view", { over = "all", prior = { 1, 10 } }),
    m.count("user", "view", { "1h", "1d", "all" }),
    m.count("user", "cart", { "1h", "1d" }),
    m.rate("user", "cart", "view", { over = "all", prior = { 1, 10 } }),
    m.rate("user", "purchase", "view", { over = "all", prior = { 1, 20 } }),
    m.history("item", { last = 20, of = { "view", "cart", "purchase" } }),
  },

  model = m.nn.sequential { m.nn.dense(64, "relu"), m.nn.dense(32, "relu"), m.nn.dense(1, "sigmoid") },

  train = {
    loss = "bce",
    optimizer = m.nn.adam { lr = 5e-4 },
    epochs = 10,
    batch = 256,
    split = m.split.by_time { 0.8, 0.1, 0.1 },
    patience = 1, -- stops when an epoch no longer helps on the validation part, and takes the one before
    seed = 42,
  },

  evaluate = { "accuracy", "auc", "logloss", "recall@20", "ndcg@20", "coverage" },
}
