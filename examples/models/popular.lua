--- popular.lua - what most people did: the same list for everybody, less what they know. What every other model has to beat.

local m = require "moonshelf"

return m.recipe "popular" {
  events = m.tsv "ml-100k.inter" {
    user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s",
  },
  items = m.tsv("ml-100k.item", { missing = { "unkonwn", "V" } }) {
    item = "item_id", title = "movie_title",
  },
  label = m.label { column = "rating", at_least = 1 },
  features = { m.id "item" },

  model = m.nn.popular(),

  train = { split = m.split.ratio { 0.8, 0.1, 0.1 } },
  evaluate = { "recall@10", "ndcg@10", "mrr@10", "coverage" },
}
