--- gru4rec.lua - GRU4Rec (Hidasi et al. 2016): what comes next, by a recurrent net over what somebody did last.
---
--- The net's state after the last step, times the items' embeddings, goes through a softmax over the whole catalogue. Judged by each user's
--- last film (leave one out): recall@10 is the hit rate.

local m = require "moonshelf"
local on = require "on.movielens"

return m.recipe "gru4rec" {
  events = on.events, items = on.items, preprocess = on.preprocess,
  label = on.chosen(0),
  features = { m.id "item" { dim = 64 }, m.history("item", { last = 50 }) },

  model = m.nn.sequential {
    m.nn.dot {
      m.nn.sequential { input = "history", m.nn.dropout(0.2), m.nn.gru(64), m.nn.pool "last", m.nn.dense(64) },
      m.nn.input "item",
    },
  },

  train = {
    loss = "softmax", -- over every item; with negatives = N in the label over so many
    optimizer = m.nn.adam { lr = 1e-3 }, epochs = 30, batch = 256, split = m.split.leave_one_out(), patience = 2,
  },
  evaluate = { "recall@10", "ndcg@10", "coverage" },
}
