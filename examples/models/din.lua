--- din.lua - DIN (Zhou et al. 2018): of what somebody did, that counts which goes with the item at hand.
---
--- The history's steps are weighed by the candidate, beside all other inputs.

local m = require "moonshelf"
local on = require "on.movielens" -- or "on.shop"

return m.recipe "din" {
  events = on.events, items = on.items, preprocess = on.preprocess, label = on.label,
  features = on.features(8),

  model = m.nn.sequential {
    m.nn.parallel { m.nn.input "x", m.nn.din { units = 16 } },
    m.nn.dense(64, "relu"), m.nn.dropout(0.1), m.nn.dense(32, "relu"), m.nn.dense(1, "sigmoid"),
  },

  train = {
    optimizer = m.nn.adam { lr = 5e-4 }, epochs = 20, batch = 256, split = on.split,
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10" },
}
