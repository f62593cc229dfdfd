--- ease.lua - EASE (Steck 2019): a linear autoencoder over whole histories, computed in closed form.
---
--- Every item's score is a weighted sum of what somebody did before, and the weights are those that best rebuild what everybody did, none
--- of an item by itself. Nothing but ids, no epochs: one matrix is inverted. The strongest of the simple ones.

local m = require "moonshelf"

return m.recipe "ease" {
  events = m.tsv "ml-100k.inter" {
    user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s",
  },
  items = m.tsv("ml-100k.item", { missing = { "unkonwn", "V" } }) {
    item = "item_id", title = "movie_title",
  },
  label = m.label { column = "rating", at_least = 1 },
  features = { m.id "item", m.history("item", { last = 1000 }) },

  model = m.nn.ease { l2 = 500 },

  train = { split = m.split.ratio { 0.8, 0.1, 0.1 } },
  evaluate = { "recall@10", "ndcg@10", "mrr@10", "coverage" },
}
