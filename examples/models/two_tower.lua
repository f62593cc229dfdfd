--- two_tower.lua - two towers (Yi et al. 2019): layers over what is known of the user, layers over what is known of the item,
--- their product.
---
--- The user's tower goes through once for a whole request, however many items are ranked. Each film that was chosen stands
--- against 20 that others chose at about the time, so that it is learned whom a film is for rather than how much it is watched.

local m = require "moonshelf"
local nn = m.nn

return m.recipe "two_tower" {
  events = m.tsv "ml-100k.inter" {
    user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s",
  },
  items = m.tsv("ml-100k.item", { missing = { "unkonwn", "V" } }) {
    item = "item_id", year = "release_year:number", genres = "class",
  },
  label = m.label { column = "rating", at_least = 1, negatives = { 20, by = "batch" } },
  features = {
    m.id "user" { dim = 32 }, m.id "item" { dim = 32 },
    m.tags "genres" { sep = " ", dim = 16 }, m.bucketize("year", 10, { dim = 16 }),
    m.history("item", { last = 50 }),
  },

  model = nn.sequential {
    nn.dot {
      nn.sequential {
        nn.parallel { nn.input "user", nn.sequential { input = "history", nn.pool "mean" } },
        nn.dense(64, "relu"), nn.dense(32),
      },
      nn.sequential {
        nn.parallel { nn.input "item", nn.input "genres", nn.input "bucketize(year)" },
        nn.dense(64, "relu"), nn.dense(32),
      },
    },
  },

  train = {
    loss = "softmax", optimizer = m.nn.adam { lr = 1e-3 }, epochs = 20, batch = 256, split = m.split.leave_one_out(), patience = 2,
  },
  evaluate = { "recall@10", "ndcg@10", "coverage" },
}
