--- layout.lua - a home page that is laid out as a whole: who sees which slot, under which title, and what the page has of everything.
---
---   moonshelf page examples/policies/layout.lua --bundle out/bundle --surface home --user u1 --params device=phone --explain

local m = require "moonshelf"

local daytime = m.gate.hours { from = "07:00", to = "22:00", zone = "Europe/Amsterdam" }

return m.site {
  home = m.page {
    m.slot "hero" {
      title = { "More {top.category} for you", "For you" }, take = 3, from = m.source.trending(50), fixed = true,
      gate = m.gate.any { m.gate.device { "phone", "tablet" }, m.gate.all { m.gate.known_user(), daytime } },
    },
    m.slot "because" {
      title = { "Because you looked at {seed.title}", "Worth a look" }, take = 6, min = 4, rank = true, from = m.source.similar(200),
    },
    m.slot "everybody" { title = "Everybody looks at", take = 6, from = m.source.popular(100), rerank = m.policy.cap { category = 2 } },

    -- Where a slot is short: what goes well in its region of taste, then anything that sells.
    fallback = { { m.source.nearest(100) }, { m.source.popular(200) } },
    dedupe = "product",
    order = { by = "affinity", column = "category" },

    -- All slots at once: nobody starves, four of a brand at most, and two new things somewhere.
    solve = { caps = { brand = 4 }, floors = { { when = "new", at_least = 2 } }, within_ms = 50 },
  },
}
