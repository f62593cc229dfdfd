--- wide_deep.lua - Wide & Deep (Cheng et al. 2016): the linear part remembers, the deep part generalises.
---
--- One sum of both, trained together.

local m = require "moonshelf"
local on = require "on.movielens" -- or "on.shop"

local branches = on.linear()
branches[#branches + 1] = m.nn.sequential { m.nn.dense(64, "relu"), m.nn.dense(32, "relu"), m.nn.dense(1) }
branches.merge = "sum"

return m.recipe "wide_deep" {
  events = on.events, items = on.items, preprocess = on.preprocess, label = on.label,
  features = on.features(8),

  model = m.nn.sequential { m.nn.parallel(branches), m.nn.activation "sigmoid" },

  train = {
    optimizer = m.nn.adam { lr = 5e-4 }, epochs = 20, batch = 256, split = on.split,
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10" },
}
