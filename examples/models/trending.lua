--- trending.lua - what many people do just now: each event counts half as much after every half-life.
---
--- Judged by time: the last tenth of the log, by what led up to it.

local m = require "moonshelf"

return m.recipe "trending" {
  events = m.tsv "ml-100k.inter" {
    user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s",
  },
  items = m.tsv("ml-100k.item", { missing = { "unkonwn", "V" } }) {
    item = "item_id", title = "movie_title",
  },
  label = m.label { column = "rating", at_least = 1 },
  features = { m.id "item" },

  model = m.nn.trending { half_life = "14d" },

  train = { split = m.split.by_time { 0.8, 0.1, 0.1 } },
  evaluate = { "recall@10", "ndcg@10", "mrr@10", "coverage" },
}
