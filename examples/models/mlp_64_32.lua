--- mlp_64_32.lua - embeddings and numbers side by side through dense layers of 64, 32 and 1.
---
--- What the shop of the examples is ranked by; it compiles to one stack and is the quickest to score.

local m = require "moonshelf"
local on = require "on.movielens" -- or "on.shop"

return m.recipe "mlp_64_32" {
  events = on.events, items = on.items, preprocess = on.preprocess, label = on.label,
  features = on.features(8),

  model = m.nn.sequential { m.nn.dense(64, "relu"), m.nn.dense(32, "relu"), m.nn.dense(1, "sigmoid") },

  train = {
    optimizer = m.nn.adam { lr = 5e-4 }, epochs = 20, batch = 256, split = on.split,
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10" },
}
