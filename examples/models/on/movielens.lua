--- on/movielens.lua - what the models of this folder learn from MovieLens 100K: who rates which film with 4 or more.

local m = require "moonshelf"

local on = {}

on.events = m.tsv "ml-100k.inter" {
  user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s",
}
on.items = m.tsv("ml-100k.item", { missing = { "unkonwn", "V" } }) {
  item = "item_id", year = "release_year:number", genres = "class",
}
on.preprocess = {
  m.map "event" (function(row) return row.rating >= 4 and "like" or "rate" end), -- so that likes can be counted
}

-- Is a rating a good one? And, for what ranks the catalogue: what does somebody watch at all?
on.label = m.label { column = "rating", at_least = 4 }
function on.chosen(negatives) return m.label { column = "rating", at_least = 1, negatives = negatives } end
on.split = m.split.random { 0.8, 0.1, 0.1 }

--- Every embedding of one width, so that they are fields to m.nn.fm.
function on.features(dim)
  return {
    m.id "user" { dim = dim },
    m.id "item" { dim = dim },
    m.bucketize("year", 10, { dim = dim }),
    m.tags "genres" { sep = " ", dim = dim },
    m.history("item", { last = 20, of = "like" }),
    m.count("item", "any", { "7d", "all" }),
    m.count("user", "any", "all"),
    m.rate("item", "like", "any", { over = "all", prior = { 5, 10 } }),
    m.rate("user", "like", "any", { over = "all", prior = { 5, 10 } }),
  }
end

--- The linear part of a model, as branches: a weight for each id, tag and number.
function on.linear()
  return {
    m.nn.embedding(1, { input = "user.id" }), m.nn.embedding(1, { input = "item.id" }),
    m.nn.embedding(1, { input = "bucketize(year).id" }),
    m.nn.embedding_bag(1, { input = "genres.ids", mode = "sum" }), m.nn.embedding_bag(1, { input = "history.ids" }),
    m.nn.dense(1, "linear", { input = "numbers" }),
  }
end

return on
