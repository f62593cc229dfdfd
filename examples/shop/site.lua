--- site.lua - the pages of the shop: what stands in which row, where it comes from, and the house rules over it.
---
---   moonshelf page examples/shop/site.lua --bundle out/bundle --surface home --user u1 --explain

local m = require "moonshelf"
local p = m.policy

--- The shop's own rule: late in the evening people look and do not measure; large furniture can wait until they do.
local function calm_evening(slate, ctx)
  if ctx.clock:hour() >= 22 then slate:boost(slate.price:gt(500), 0.9, "late: large things can wait") end
end

return m.site {
  home = m.page {
    m.slot "hero" {
      title = "Picked for you", take = 1, from = { m.source.similar(100), m.source.trending(50) }, rank = true,
      rerank = {
        p.filter { stock = { gt = 3 } },
        p.boost({ margin = { gt = 0.4 } }, 1.1, { owner = "merchandising", reason = "earns more" }),
      },
    },
    m.slot "for_you" {
      title = "You may like", take = 12, min = 4, rank = true,
      from = { m.source.similar(200), m.source.trending(200), m.source.popular(100) },
      rerank = {
        p.boost("new", 1.15, { owner = "merchandising", reason = "new this month", ends = "2027-01-01" }),
        p.bury({ stock = { lt = 3 } }, 0.7, { owner = "logistics", reason = "nearly gone" }),
        p.lua(calm_evening),
        p.cap { category = 4, brand = 3 },
        p.mmr { lambda = 0.8, by = "embedding", k = 24 },
      },
    },
    m.slot "trending" {
      title = "Everybody looks at", take = 8, from = m.source.trending(200), rerank = { p.cap { category = 2 } },
    },
    m.slot "recent" { title = "You looked at", take = 6, from = m.source.recent(30), gate = m.gate.known_user() },
    dedupe = "product", fallback = m.source.popular(200), exclude_seen = { "purchase" },
  },

  product = m.page {
    m.slot "similar" {
      title = "Similar things", take = 8, min = 4, from = m.source.similar(200), rank = true,
      rerank = { p.cap { brand = 4 }, p.mmr { lambda = 0.8, by = "embedding", k = 16 } },
    },
    m.slot "trending" { title = "Everybody looks at", take = 6, from = m.source.trending(100) },
    dedupe = "product", fallback = m.source.popular(200),
  },

  cart = m.page {
    m.slot "goes_with" {
      title = "Goes with it", take = 6, from = { m.source.similar(200), m.source.popular(50) }, rank = true,
      rerank = {
        p.boost({ price = { lt = 40 } }, 1.3, { owner = "merchandising", reason = "small enough to add" }),
        p.cap { category = 2 },
      },
    },
    dedupe = "product", fallback = m.source.popular(200), exclude_seen = { "purchase" },
  },
}
