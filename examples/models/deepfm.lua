--- deepfm.lua - DeepFM (Guo et al. 2017): a factorisation machine and a deep part over the same embeddings.
---
--- Pairs of ids by products, the rest by layers. Learns which films somebody rates with 4 or more, from MovieLens 100K.

local m = require "moonshelf"
local nn = m.nn

return m.recipe "deepfm" {
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
    m.id "user" { dim = 8 },
    m.id "item" { dim = 8 },
    m.bucketize("year", 10, { dim = 8 }),
    m.tags "genres" { sep = " ", dim = 8 },
    m.history("item", { last = 20, of = "like" }),
    m.count("item", "any", { "7d", "all" }),
    m.count("user", "any", "all"),
    m.rate("item", "like", "any", { over = "all", prior = { 5, 10 } }),
    m.rate("user", "like", "any", { over = "all", prior = { 5, 10 } }),
  },

  model = nn.sequential {
    nn.parallel {
      nn.embedding(1, { input = "user.id" }), nn.embedding(1, { input = "item.id" }),
      nn.embedding(1, { input = "bucketize(year).id" }), nn.embedding_bag(1, { input = "genres.ids", mode = "sum" }),
      nn.embedding_bag(1, { input = "history.ids" }),
      nn.dense(1, "linear", { input = "numbers" }),
      nn.fm(),
      nn.sequential { nn.dense(64, "relu"), nn.dropout(0.1), nn.dense(32, "relu") },
    },
    nn.dense(1, "sigmoid"),
  },

  train = {
    optimizer = nn.adam { lr = 5e-4 }, epochs = 20, batch = 256, split = m.split.random { 0.8, 0.1, 0.1 },
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10" },
}
