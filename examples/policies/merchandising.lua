--- merchandising.lua - a home page as a merchandiser wants it: what must not be seen, what must, how much of what, and a little chance.
---
---   moonshelf page examples/policies/merchandising.lua --bundle out/bundle --surface home --user u1 --explain

local m = require "moonshelf"
local p = m.policy

--- What earns well for its price comes up, item by item: a rule that no column has by itself.
local function earns_its_place(slate, _)
  slate:score(function(row)
    if row.margin and row.price and row.price > 20 then return row.score * (1 + 0.2 * row.margin) end
  end)
  slate:quota { when = slate.price:lt(20), at_least = 2, first = 12, reason = "something small for everybody" }
end

return m.site {
  home = m.page {
    m.slot "hero" {
      title = "This week", take = 4, rank = true, from = { m.source.similar(100), m.source.popular(100) },
      rerank = {
        p.exclude { when = { stock = { lt = 2 } }, done = "purchase", within = "60d", owner = "logistics" },
        p.clearance { stock = "stock", over = 60, full = 120, factor = 1.3, owner = "logistics", reason = "too many in the hall" },
        p.margin { of = "margin", at_least = 0.3, first = 4, owner = "finance" },
        p.pin {
          items = "i5", at = 1, bring = true, owner = "merchandising", reason = "on the poster", starts = "2026-01-01", ends = "2036-01-01",
        },
      },
    },
    m.slot "for_you" {
      title = "For you", take = 24, min = 4, rank = true, from = { m.source.similar(200), m.source.trending(200), m.source.popular(200) },
      rerank = {
        p.suppress { done = "view", factor = 0.6, half_life = "2d", reason = "seen just now" },
        p.blend { weights = { score = 1, margin = 0.15 }, scale = "rank" },
        p.lua(earns_its_place),
        p.calibrate { by = "category", lambda = 0.3, first = 24, done = { "view", "cart" } },
        p.mix { by = "price", edges = { 30, 150 }, shares = { 3, 5, 2 }, first = 24, reason = "for every purse" },
        p.cap({ category = 6, brand = 4 }, { first = 24 }),
        p.ratio { when = "new", at_least = 0.15, at_most = 0.5, first = 24, owner = "merchandising", reason = "new in" },
        p.debunch { by = "brand", most = 1, window = 3, first = 24 },
        p.epsilon { epsilon = 0.05, first = 60, among = 100 }, -- more than it takes: variants of what is there will be passed over
      },
    },
    m.slot "discover" {
      title = "Something else", take = 8, from = { m.source.trending(100), m.source.popular(200) },
      rerank = {
        p.pattern { pattern = { "new", { source = "trending" }, "any" }, first = 50 },
        p.thompson { success = "purchase", trial = "view", within = "7d", first = 30, among = 50 },
      },
    },
    m.slot "varied" {
      title = "A bit of everything", take = 8, from = m.source.popular(200), rank = true,
      rerank = { p.dpp { lambda = 0.6, by = "embedding", k = 30 }, p.sample { temperature = 0.05, first = 30, among = 60 } },
    },
    dedupe = "product", fallback = m.source.popular(200),
  },
}
