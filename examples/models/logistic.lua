--- logistic.lua - logistic regression: a weight for each id, tag and number, summed.
---
--- What the others have to beat.

local m = require "moonshelf"
local on = require "on.movielens" -- or "on.shop"

local branches = on.linear()
branches.merge = "sum"

return m.recipe "logistic" {
  events = on.events, items = on.items, preprocess = on.preprocess, label = on.label,
  features = on.features(4),

  model = m.nn.sequential { m.nn.parallel(branches), m.nn.activation "sigmoid" },

  train = {
    optimizer = m.nn.adam { lr = 1e-3 }, epochs = 20, batch = 256, split = on.split,
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10" },
}
