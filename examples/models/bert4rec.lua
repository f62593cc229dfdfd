--- bert4rec.lua - BERT4Rec (Sun et al. 2019): what comes next, by a transformer that learned to fill gaps.
---
--- Of a window of films some are hidden, and one more stands hidden at its end; which they are is guessed from what is before and behind,
--- over the whole catalogue. In serving only the end is hidden. Judged by each user's last film (leave one out): recall@10 is the hit rate.

local m = require "moonshelf"

return m.recipe "bert4rec" {
  events = m.tsv "ml-100k.inter" {
    user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s",
  },
  items = m.tsv("ml-100k.item", { missing = { "unkonwn", "V" } }) {
    item = "item_id", title = "movie_title",
  },
  label = m.label { column = "rating", at_least = 1 },
  features = { m.id "item" { dim = 64 }, m.history("item", { last = 50 }) },

  model = m.nn.sequential {
    m.nn.dot {
      m.nn.sequential {
        input = "history",
        m.nn.mask(), m.nn.position(), m.nn.layer_norm(), m.nn.dropout(0.2),
        m.nn.transformer { heads = 2, feed = 64, dropout = 0.2 },
        m.nn.transformer { heads = 2, feed = 64, dropout = 0.2 },
        m.nn.pool "last",
        m.nn.layer_norm(),
      },
      m.nn.input "item",
    },
  },

  train = {
    loss = "softmax", sequences = { mask = 0.3, stride = 5 }, -- many ends, each to be guessed
    optimizer = m.nn.adam { lr = 2e-3 }, epochs = 7, batch = 64, split = m.split.leave_one_out(), patience = 2,
  },
  evaluate = { "recall@10", "ndcg@10", "coverage" },
}
