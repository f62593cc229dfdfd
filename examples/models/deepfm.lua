--- deepfm.lua - DeepFM (Guo et al. 2017): a factorisation machine and a deep part over the same embeddings.
---
--- Pairs of ids by products, the rest by layers.

local m = require "moonshelf"
local on = require "on.movielens" -- or "on.shop"

local branches = on.linear()
branches[#branches + 1] = m.nn.fm()
branches[#branches + 1] = m.nn.sequential { m.nn.dense(64, "relu"), m.nn.dropout(0.1), m.nn.dense(32, "relu") }
branches.merge = "concat"

return m.recipe "deepfm" {
  events = on.events, items = on.items, preprocess = on.preprocess, label = on.label,
  features = on.features(8),

  model = m.nn.sequential { m.nn.parallel(branches), m.nn.dense(1, "sigmoid") },

  train = {
    optimizer = m.nn.adam { lr = 5e-4 }, epochs = 20, batch = 256, split = on.split,
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10" },
}
