--- first_policy.lua - the smallest site that shows what a policy does; README.md's tour writes it.
---
---   moonshelf page examples/policies/first_policy.lua --bundle out/bundle --surface home --user u1 --explain

local m = require "moonshelf"
local p = m.policy

--- Things under 20 come up, and nothing above 100 is shown at all.
local function bargain_week(slate, _)
  slate:keep(slate.price:le(100))
  slate:boost(slate.price:lt(20), 2.0, "bargain week")
end

return m.site {
  home = m.page {
    m.slot "for_you" {
      title = "Bargain week", take = 10, rank = true, from = { m.source.similar(200), m.source.popular(200) },
      rerank = { p.lua(bargain_week), p.cap { category = 3 } },
    },
    dedupe = "product", fallback = m.source.popular(200),
  },
}
