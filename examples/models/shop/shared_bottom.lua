--- shared_bottom.lua - one body and a head for each task (Caruana 1997): which look ends in the cart, and which in a purchase.
---
--- What is learned of the many carts serves the few purchases. The score is that of the last task, the purchase.

local m = require "moonshelf"
local nn = m.nn

return m.recipe "shared_bottom" {
  events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp:time" },
  items = m.csv "items.csv" { item = "item_id", category = "category", brand = "brand", price = "price:number" },
  preprocess = { m.drop_missing { "user", "item", "time" }, m.filter(function(row) return row.event ~= "bot" end) },
  label = {
    cart = m.label { positive = "cart", of = "view", within = "24h" },
    purchase = m.label { positive = "purchase", of = "view", within = "24h" },
  },

  features = {
    m.id "item" { dim = 8, min_count = 20 },
    m.category "category" { dim = 8 },
    m.category "brand" { dim = 8 },
    m.history("item", { last = 20, of = { "view", "cart", "purchase" } }),
    m.log "price",
    m.count("item", "view", { "1h", "1d", "7d" }),
    m.rate("item", "purchase", "view", { over = "all", prior = { 1, 20 } }),
    m.rate("item", "cart", "view", { over = "all", prior = { 1, 10 } }),
    m.count("user", "view", { "1h", "1d", "all" }),
    m.count("user", "cart", { "1h", "1d" }),
    m.rate("user", "cart", "view", { over = "all", prior = { 1, 10 } }),
    m.rate("user", "purchase", "view", { over = "all", prior = { 1, 20 } }),
  },

  model = nn.sequential {
    nn.dense(64, "relu"),
    nn.heads {
      cart = nn.sequential { nn.dense(32, "relu"), nn.dense(1, "sigmoid") },
      purchase = nn.sequential { nn.dense(32, "relu"), nn.dense(1, "sigmoid") },
    },
  },

  train = {
    optimizer = nn.adam { lr = 5e-4 }, epochs = 20, batch = 256, split = m.split.by_time { 0.8, 0.1, 0.1 },
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10", "cart.auc", "cart.logloss", "purchase.auc", "purchase.logloss" },
}
