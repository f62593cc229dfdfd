--- item_knn.lua - item-kNN (Sarwar et al. 2001): who liked this also liked that, by the cosine of the sets of people.
---
--- An item's score is the sum of its similarities with the history, as far as they are among its nearest neighbours. Shrinkage keeps
--- one shared viewer from being proof.

local m = require "moonshelf"

return m.recipe "item_knn" {
  events = m.tsv "ml-100k.inter" {
    user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s",
  },
  items = m.tsv("ml-100k.item", { missing = { "unkonwn", "V" } }) {
    item = "item_id", title = "movie_title",
  },
  label = m.label { column = "rating", at_least = 1 },
  features = { m.id "item", m.history("item", { last = 1000 }) },

  model = m.nn.item_knn { neighbours = 100, shrink = 10 },

  train = { split = m.split.ratio { 0.8, 0.1, 0.1 } },
  evaluate = { "recall@10", "ndcg@10", "mrr@10", "coverage" },
}
