--- sasrec.lua - SASRec (Kang & McAuley 2018): what comes next, by self-attention over what somebody did last.
---
--- A window of films goes through a transformer once, and at each of its steps what it gives, times the items' embeddings, goes through a
--- softmax over the whole catalogue: which film was next? Judged by each user's last film (leave one out): recall@10 is the hit rate.

local m = require "moonshelf"

return m.recipe "sasrec" {
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
        m.nn.position(), m.nn.layer_norm(), m.nn.dropout(0.3),
        m.nn.transformer { heads = 2, causal = true, feed = 64, dropout = 0.3 },
        m.nn.transformer { heads = 2, causal = true, feed = 64, dropout = 0.3 },
        m.nn.pool "last",
        m.nn.layer_norm(),
      },
      m.nn.input "item",
    },
  },

  train = {
    loss = "softmax", sequences = true, -- every step, over every item
    optimizer = m.nn.adam { lr = 4e-3 }, epochs = 16, batch = 64, split = m.split.leave_one_out(), patience = 4,
  },
  evaluate = { "recall@10", "ndcg@10", "coverage" },
}
