--- sasrec.lua - SASRec (Kang & McAuley 2018): what comes next, by self-attention over what somebody did last.
---
--- Each event is an example: the history up to it, and of every item one that was next. The last step of a transformer, times the items'
--- embeddings, goes through a softmax over the whole catalogue. Judged by each user's last film (leave one out): recall@10 is the hit rate.

local m = require "moonshelf"
local on = require "on.movielens"

return m.recipe "sasrec" {
  events = on.events, items = on.items, preprocess = on.preprocess,
  label = on.chosen(0),
  features = { m.id "item" { dim = 64 }, m.history("item", { last = 50 }) },

  model = m.nn.sequential {
    m.nn.dot {
      m.nn.sequential {
        input = "history",
        m.nn.position(), m.nn.dropout(0.2),
        m.nn.transformer { heads = 2, causal = true, feed = 64, dropout = 0.2 },
        m.nn.transformer { heads = 2, causal = true, feed = 64, dropout = 0.2 },
        m.nn.pool "last",
        m.nn.layer_norm(),
      },
      m.nn.input "item",
    },
  },

  train = {
    loss = "softmax", -- over every item; with negatives = N in the label over so many
    optimizer = m.nn.adam { lr = 1e-3 }, epochs = 30, batch = 256, split = m.split.leave_one_out(), patience = 2,
  },
  evaluate = { "recall@10", "ndcg@10", "coverage" },
}
