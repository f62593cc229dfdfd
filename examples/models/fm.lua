--- fm.lua - a factorisation machine (Rendle 2010): the linear part, and the product of every pair of embeddings.
---
--- An embedding tells how its id goes with each of the others, also with those it was never seen together with.

local m = require "moonshelf"
local on = require "on.movielens" -- or "on.shop"

local branches = on.linear()
branches[#branches + 1] = m.nn.sequential { m.nn.fm(), m.nn.dense(1) }
branches.merge = "sum"

return m.recipe "fm" {
  events = on.events, items = on.items, preprocess = on.preprocess, label = on.label,
  features = on.features(8),

  model = m.nn.sequential { m.nn.parallel(branches), m.nn.activation "sigmoid" },

  train = {
    optimizer = m.nn.adam { lr = 1e-3 }, epochs = 20, batch = 256, split = on.split,
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10" },
}
