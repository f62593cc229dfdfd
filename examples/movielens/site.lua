--- site.lua - an evening at the cinema: three rows of films for one viewer.
---
---   moonshelf page examples/movielens/site.lua --bundle out/movies --surface home --user 196

local m = require "moonshelf"
local p = m.policy

return m.site {
  home = m.page {
    m.slot "for_you" {
      title = "Tonight", take = 10, rank = true, from = { m.source.similar(200), m.source.popular(300) },
      rerank = { p.cap { genres = 2 }, p.mmr { lambda = 0.8, by = "embedding", k = 30 } },
    },
    m.slot "classics" {
      title = "Older than you think", take = 6, rank = true, from = m.source.popular(1000),
      rerank = { p.filter { year = { lt = 1970 } } },
    },
    m.slot "trending" { title = "Everybody watches", take = 6, from = m.source.trending(100) },
    dedupe = "item", fallback = m.source.popular(200), exclude_seen = { "like", "rate" },
  },
  product = m.page {
    m.slot "similar" { title = "Whoever liked this", take = 8, from = m.source.similar(100) },
    dedupe = "item", fallback = m.source.popular(100),
  },
}
