--- recipe.lua - MovieLens 100K: who will like (rate with 4 or more) which film, learned from the past and judged on what
--- came after it.
---
---   moonshelf train examples/movielens/recipe.lua --data DIR --out out/movies

local m = require "moonshelf"

return m.recipe "movielens" {
  events = m.tsv "ml-100k.inter" {
    user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s",
  },
  items = m.tsv("ml-100k.item", { missing = { "unkonwn", "V" } }) { -- what stands there for two years
    item = "item_id", title = "movie_title", year = "release_year:number", genres = "class",
  },

  -- A like is an event of its own kind, so that rates of liking can be counted.
  preprocess = {
    m.drop_missing { "user", "item", "rating", "time" },
    m.map "event" (function(row) return row.rating >= 4 and "like" or "rate" end),
  },

  -- For each like also a film drawn from the catalogue, as one that was not even chosen: ratings alone tell good films from bad
  -- ones, but not what somebody would pick (NDCG@10 over the whole catalogue doubles, at the price of 0.02 of AUC).
  label = m.label { column = "rating", at_least = 4, negatives = 1 },

  features = {
    m.id "user" { dim = 16 },
    m.id "item" { dim = 16, min_count = 3 },
    m.category "genres" { dim = 8 },
    m.numeric "year",
    m.count("item", "any", { "7d", "all" }),
    m.count("user", "any", "all"),
    m.rate("item", "like", "any", { over = "all", prior = { 5, 10 } }),
    m.rate("user", "like", "any", { over = "all", prior = { 5, 10 } }),
    m.history("item", { last = 50, of = "like" }),
  },

  model = m.nn.sequential { m.nn.dense(64, "relu"), m.nn.dense(32, "relu"), m.nn.dense(1, "sigmoid") },

  train = {
    loss = "bce",
    optimizer = m.nn.adam { lr = 1e-3 },
    epochs = 10,
    batch = 256,
    split = m.split.by_time { 0.8, 0.1, 0.1 },
    patience = 2,
    seed = 42,
  },

  evaluate = { "accuracy", "auc", "logloss", "recall@10", "ndcg@10", "coverage" },
}
