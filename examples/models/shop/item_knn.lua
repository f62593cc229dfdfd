--- item_knn.lua - item-kNN (Sarwar et al. 2001) on the generated shop: who looked at this also looked at that.

local m = require "moonshelf"

return m.recipe "item_knn" {
  events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp:time" },
  items = m.csv "items.csv" { item = "item_id" },
  preprocess = { m.drop_missing { "user", "item", "time" }, m.filter(function(row) return row.event ~= "bot" end) },
  label = m.label { positive = "purchase", of = "view", within = "24h" },
  features = { m.id "item" { min_count = 5 }, m.history("item", { last = 200 }) },

  model = m.nn.item_knn { neighbours = 100, shrink = 10 },

  train = { split = m.split.by_time { 0.8, 0.1, 0.1 } },
  evaluate = { "auc", "recall@10", "ndcg@10", "coverage" },
}
