--- content.lua - what is like what somebody looked at: category, brand and title, for an assortment that changes often.
---
--- min_count = 0: an article has its neighbours on its first day, before anybody has seen it.

local m = require "moonshelf"

return m.recipe "content" {
  events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp:time" },
  items = m.csv "items.csv" { item = "item_id", title = "title", category = "category", brand = "brand" },
  preprocess = { m.drop_missing { "user", "item", "time" }, m.filter(function(row) return row.event ~= "bot" end) },
  label = m.label { positive = "purchase", of = "view", within = "24h" },
  features = {
    m.id "item" { min_count = 0 }, m.history("item", { last = 50 }),
    m.words "title", m.category "category", m.category "brand",
  },

  model = m.nn.content { neighbours = 100 },

  train = { split = m.split.by_time { 0.8, 0.1, 0.1 } },
  evaluate = { "auc", "recall@10", "ndcg@10", "coverage" },
}
