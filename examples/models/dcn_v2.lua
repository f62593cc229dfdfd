--- dcn_v2.lua - DCN-v2 (Wang et al. 2021): cross layers multiply every input with every other, beside a deep part.
---
--- Each cross layer raises the degree of the products by one.

local m = require "moonshelf"
local on = require "on.movielens" -- or "on.shop"

return m.recipe "dcn_v2" {
  events = on.events, items = on.items, preprocess = on.preprocess, label = on.label,
  features = on.features(8),

  model = m.nn.sequential {
    m.nn.parallel {
      m.nn.cross(2),
      m.nn.sequential { m.nn.dense(64, "relu"), m.nn.dropout(0.1), m.nn.dense(32, "relu") },
    },
    m.nn.dense(1, "sigmoid"),
  },

  train = {
    optimizer = m.nn.adam { lr = 5e-4 }, epochs = 20, batch = 256, split = on.split,
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10" },
}
