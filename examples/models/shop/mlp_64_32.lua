--- mlp_64_32.lua - embeddings and numbers side by side through dense layers of 64, 32 and 1.
---
--- It compiles to one stack and is the quickest to score. Learns which look ends in a purchase within a day, from the generated
--- shop.

local m = require "moonshelf"
local nn = m.nn

return m.recipe "mlp_64_32" {
  events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp:time" },
  items = m.csv "items.csv" { item = "item_id", category = "category", brand = "brand", price = "price:number" },
  preprocess = { m.drop_missing { "user", "item", "time" }, m.filter(function(row) return row.event ~= "bot" end) },
  label = m.label { positive = "purchase", of = "view", within = "24h" },

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

  model = nn.sequential { nn.dense(64, "relu"), nn.dense(32, "relu"), nn.dense(1, "sigmoid") },

  train = {
    optimizer = nn.adam { lr = 5e-4 }, epochs = 20, batch = 256, split = m.split.by_time { 0.8, 0.1, 0.1 },
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10" },
}
