--- ease.lua - EASE (Steck 2019) on the generated shop: weights between items that best rebuild who did something with what.
---
--- What somebody looked at, put into the cart or bought is their history, all alike. With of = { "purchase" } in m.history it would
--- be what they bought.

local m = require "moonshelf"

return m.recipe "ease" {
  events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp:time" },
  items = m.csv "items.csv" { item = "item_id" },
  preprocess = { m.drop_missing { "user", "item", "time" }, m.filter(function(row) return row.event ~= "bot" end) },
  label = m.label { positive = "purchase", of = "view", within = "24h" },
  features = { m.id "item" { min_count = 5 }, m.history("item", { last = 200 }) },

  model = m.nn.ease { l2 = 200 },

  train = { split = m.split.by_time { 0.8, 0.1, 0.1 } },
  evaluate = { "auc", "recall@10", "ndcg@10", "coverage" },
}
