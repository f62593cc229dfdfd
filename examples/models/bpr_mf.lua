--- bpr_mf.lua - matrix factorisation by pairs (Rendle et al. 2009): a user and an item are vectors, and their product ranks.
---
--- What a user chose should score above what they did not, whatever the scores are. Nothing but ids: no features, no time.

local m = require "moonshelf"
local on = require "on.movielens"

return m.recipe "bpr_mf" {
  events = on.events, items = on.items, preprocess = on.preprocess,
  label = on.chosen { 20, unseen = true },
  features = { m.id "user" { dim = 64 }, m.id "item" { dim = 64 } },

  model = m.nn.sequential { m.nn.dot { m.nn.input "user", m.nn.input "item" } },

  train = {
    loss = "bpr", optimizer = m.nn.adam { lr = 1e-3 }, epochs = 60, batch = 256, split = on.split, patience = 3,
  },
  evaluate = { "recall@10", "ndcg@10", "coverage" },
}
