--- trending.lua - what is bought most just now: each purchase counts half as much after every half-life.

local m = require "moonshelf"

return m.recipe "trending" {
  events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp:time" },
  items = m.csv "items.csv" { item = "item_id" },
  preprocess = { m.drop_missing { "user", "item", "time" }, m.filter(function(row) return row.event ~= "bot" end) },
  label = m.label { positive = "purchase", of = "view", within = "24h" },
  features = { m.id "item" },

  model = m.nn.trending { of = { "purchase" }, half_life = "7d" },

  train = { split = m.split.by_time { 0.8, 0.1, 0.1 } },
  evaluate = { "auc", "recall@10", "ndcg@10", "coverage" },
}
