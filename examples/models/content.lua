--- content.lua - what is like what somebody saw: TF-IDF over genres, title and year, and no other person's taste.
---
--- Each feature gives an item a vector of length 1, and the similarity is the mean of their cosines. m.embedding_file and
--- m.text_embedding are features like these. min_count = 0: films that nobody has rated yet have a place, too.

local m = require "moonshelf"

return m.recipe "content" {
  events = m.tsv "ml-100k.inter" {
    user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s",
  },
  items = m.tsv("ml-100k.item", { missing = { "unkonwn", "V" } }) {
    item = "item_id", title = "movie_title", year = "release_year", genres = "class",
  },
  label = m.label { column = "rating", at_least = 1 },
  features = {
    m.id "item" { min_count = 0 }, m.history("item", { last = 1000 }),
    m.tags "genres" { sep = " " }, m.words "title", m.category "year",
  },

  model = m.nn.content { of = { "genres", "title", "year" }, neighbours = 100 },

  train = { split = m.split.ratio { 0.8, 0.1, 0.1 } },
  evaluate = { "recall@10", "ndcg@10", "mrr@10", "coverage" },
}
