--- gru4rec.lua - GRU4Rec (Hidasi et al. 2016): what comes next, by a recurrent net over what somebody did last.
---
--- The net goes over a window of films once, and its state after each step, times the items' embeddings, goes through a softmax over the
--- whole catalogue: which film was next? Judged by each user's last film (leave one out): recall@10 is the hit rate.

local m = require "moonshelf"

return m.recipe "gru4rec" {
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
      m.nn.sequential { input = "history", m.nn.dropout(0.3), m.nn.gru(64), m.nn.pool "last", m.nn.dense(64) },
      m.nn.input "item",
    },
  },

  train = {
    loss = "softmax", sequences = true, -- every step, over every item
    optimizer = m.nn.adam { lr = 2e-3 }, epochs = 40, batch = 64, split = m.split.leave_one_out(), patience = 5,
  },
  evaluate = { "recall@10", "ndcg@10", "coverage" },
}
