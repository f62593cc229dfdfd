--- bpr_mf.lua - matrix factorisation by pairs (Rendle et al. 2009): a user and an item are vectors, and their product ranks.
---
--- What a user chose should score above what they did not, whatever the scores are. Nothing but ids: no features, no time.

local m = require "moonshelf"

return m.recipe "bpr_mf" {
  events = m.tsv "ml-100k.inter" {
    user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s",
  },
  items = m.tsv("ml-100k.item", { missing = { "unkonwn", "V" } }) {
    item = "item_id", title = "movie_title",
  },
  label = m.label { column = "rating", at_least = 1, negatives = { 20, unseen = true } },
  features = { m.id "user" { dim = 128 }, m.id "item" { dim = 128 } },

  model = m.nn.sequential { m.nn.dot { m.nn.input "user", m.nn.input "item" } },

  train = {
    loss = "bpr", optimizer = m.nn.adam { lr = 1e-3 }, epochs = 60, batch = 256, split = m.split.ratio { 0.8, 0.1, 0.1 }, patience = 3,
  },
  evaluate = { "recall@10", "ndcg@10", "mrr@10", "coverage" },
}
