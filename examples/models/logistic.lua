--- logistic.lua - logistic regression: a weight for each id, tag and number, summed.
---
--- What the others have to beat. Learns which films somebody rates with 4 or more, from MovieLens 100K.

local m = require "moonshelf"
local nn = m.nn

return m.recipe "logistic" {
  events = m.tsv "ml-100k.inter" {
    user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s",
  },
  items = m.tsv("ml-100k.item", { missing = { "unkonwn", "V" } }) {
    item = "item_id", year = "release_year:number", genres = "class",
  },
  preprocess = {
    m.map "event" (function(row) return row.rating >= 4 and "like" or "rate" end), -- so that likes can be counted
  },
  label = m.label { column = "rating", at_least = 4 },

  features = {
    m.id "user" { dim = 4 },
    m.id "item" { dim = 4 },
    m.bucketize("year", 10, { dim = 4 }),
    m.tags "genres" { sep = " ", dim = 4 },
    m.history("item", { last = 20, of = "like" }),
    m.count("item", "any", { "7d", "all" }),
    m.count("user", "any", "all"),
    m.rate("item", "like", "any", { over = "all", prior = { 5, 10 } }),
    m.rate("user", "like", "any", { over = "all", prior = { 5, 10 } }),
  },

  model = nn.sequential {
    nn.parallel {
      merge = "sum",
      nn.embedding(1, { input = "user.id" }), nn.embedding(1, { input = "item.id" }),
      nn.embedding(1, { input = "bucketize(year).id" }), nn.embedding_bag(1, { input = "genres.ids", mode = "sum" }),
      nn.embedding_bag(1, { input = "history.ids" }),
      nn.dense(1, "linear", { input = "numbers" }),
    },
    nn.activation "sigmoid",
  },

  train = {
    optimizer = nn.adam { lr = 1e-3 }, epochs = 20, batch = 256, split = m.split.random { 0.8, 0.1, 0.1 },
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10" },
}
