--- article.lua - the model of the textbooks, to the letter: Dense 64 relu, Dense 32 relu, Dense 1 sigmoid; Adam, binary
--- cross-entropy, batches of 32, 10 epochs, the last fifth held out for validation.
---
---   moonshelf train examples/shop/article.lua --data out/shop --out out/article

local m = require "moonshelf"

return m.recipe "article" {
  events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp:time" },
  items = m.csv "items.csv" {
    item = "item_id", product = "product", title = "title", category = "category", brand = "brand",
    price = "price:number", stock = "stock:number",
  },
  preprocess = { m.drop_missing { "user", "item", "time" } },
  label = m.label { positive = "purchase", of = "view", within = "24h" },
  features = {
    m.id "user" { dim = 16 },
    m.id "item" { dim = 16 },
    m.category "category" { dim = 8 },
    m.log "price",
    m.count("item", "view", { "1d", "7d" }),
    m.rate("item", "purchase", "view", { over = "all", prior = { 1, 20 } }),
  },
  model = m.nn.sequential { m.nn.dense(64, "relu"), m.nn.dense(32, "relu"), m.nn.dense(1, "sigmoid") },
  train = { loss = "bce", optimizer = m.nn.adam {}, epochs = 10, batch = 32, validation = 0.2 },
  evaluate = { "accuracy", "auc", "logloss" },
}
