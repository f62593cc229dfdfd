--- recipe_test.lua - what the shop's recipe promises of its features.
---
---   moonshelf test examples/shop

local m = require "moonshelf"
local recipe = require "recipe"

local items = {
  { item = "lamp", product = "p1", category = "lighting", brand = "Lumo", price = 19, stock = 3 },
  { item = "shade", product = "p2", category = "lighting", brand = "Mira", price = 7.5, stock = 5 },
  { item = "rug", product = "p3", category = "floors", stock = 1 },
}

m.test "what is known of an item is what the catalogue says" {
  recipe = recipe, items = items,
  run = function(t)
    local lamp = t:features { user = "ann", item = "lamp", at = "2026-11-24T10:00:00Z" }
    t:equal(lamp.item, "lamp")
    t:equal(lamp.category, "lighting")
    t:equal(lamp.brand, "Lumo")
    t:near(lamp["log(price)"], math.log(1 + 19))
    local rug = t:features { user = "ann", item = "rug", at = "2026-11-24T10:00:00Z" }
    t:equal(rug.brand, nil)
    t:equal(rug["log(price)"], 0, "a price that nobody knows")
  end,
}

m.test "a look counts for an hour, a day and a week, and then no more" {
  recipe = recipe, items = items,
  run = function(t)
    t:event { user = "ann", item = "lamp", event = "view", time = "2026-11-01T10:00:00Z" }
    local function counts(at)
      local f = t:features { user = "ben", item = "lamp", at = at }
      return { f["count(item,view,1h)"] > 0, f["count(item,view,1d)"] > 0, f["count(item,view,7d)"] > 0 }
    end
    t:equal(counts "2026-11-01T10:59:59Z", { true, true, true })
    t:equal(counts "2026-11-01T11:00:00Z", { false, true, true }, "an hour later")
    t:equal(counts "2026-11-02T10:00:00Z", { false, false, true }, "a day later")
    t:equal(counts "2026-11-08T10:00:00Z", { false, false, false }, "a week later")
  end,
}

m.test "counts are told as log(1 + n), of this item only" {
  recipe = recipe, items = items,
  run = function(t)
    t:event {
      { user = "ann", item = "lamp", event = "view", time = "2026-11-24T10:00:00Z" },
      { user = "ben", item = "lamp", event = "view", time = "2026-11-24T10:01:00Z" },
      { user = "ben", item = "lamp", event = "cart", time = "2026-11-24T10:02:00Z" },
      { user = "ben", item = "shade", event = "view", time = "2026-11-24T10:03:00Z" },
    }
    t:near(t:features({ item = "lamp" })["count(item,view,1h)"], math.log(1 + 2))
    t:near(t:features({ item = "shade" })["count(item,view,1h)"], math.log(1 + 1))
    t:equal(t:features({ item = "rug" })["count(item,view,1h)"], 0)
  end,
}

m.test "rates start at their prior and move with what happens" {
  recipe = recipe, items = items,
  run = function(t)
    local before = t:features { user = "ann", item = "lamp", at = "2026-11-24T10:00:00Z" }
    t:near(before["rate(item,purchase/view,7d)"], 1 / 20)
    t:near(before["rate(item,cart/view,all)"], 1 / 10)
    t:near(before["rate(user,purchase/view,all)"], 1 / 20)
    t:event {
      { user = "ann", item = "lamp", event = "view", time = "2026-11-24T10:00:00Z" },
      { user = "ann", item = "lamp", event = "purchase", time = "2026-11-24T10:05:00Z" },
    }
    local after = t:features { user = "ann", item = "lamp" }
    t:near(after["rate(item,purchase/view,7d)"], 2 / 21)
    t:near(after["rate(user,purchase/view,all)"], 2 / 21)
    t:near(after["rate(user,cart/view,all)"], 1 / 11)
    local later = t:features { user = "ann", item = "lamp", at = "2026-12-24T10:00:00Z" }
    t:near(later["rate(item,purchase/view,7d)"], 1 / 20, nil, "a month later")
    t:near(later["rate(item,purchase/view,all)"], 2 / 21, nil, "of all time")
  end,
}

m.test "the history is what a visitor did last, newest first, clicks aside" {
  recipe = recipe, items = items,
  run = function(t)
    t:event {
      { user = "ann", item = "lamp", event = "view", time = "2026-11-24T10:00:00Z" },
      { user = "ann", item = "rug", event = "purchase", time = "2026-11-24T10:01:00Z" },
      { user = "ann", item = "shade", event = "click", time = "2026-11-24T10:02:00Z" },
    }
    t:equal(t:features({ user = "ann", item = "shade" })["history(item)"], { "rug", "lamp" })
    t:event { user = "ann", item = "lamp", event = "cart", time = "2026-11-24T10:03:00Z" }
    t:equal(t:features({ user = "ann", item = "shade" })["history(item)"], { "lamp", "rug" }, "each item once")
    t:equal(t:features({ user = "ben", item = "shade" })["history(item)"], {}, "of somebody else")
  end,
}

m.test "a visitor who is new is not told apart from another" {
  recipe = recipe, items = items,
  run = function(t)
    t:event { user = "ann", item = "lamp", event = "view", time = "2026-11-24T10:00:00Z" }
    t:equal(t:features { user = "ben", item = "lamp" }, t:features { item = "lamp" })
  end,
}

m.test "robots and rows without a user leave no trace" {
  recipe = recipe, items = items,
  run = function(t)
    local kept = t:log {
      { user = "ann", item = "lamp", event = "view", time = "2026-11-24T10:00:00Z" },
      { user = "r2d2", item = "lamp", event = "bot", time = "2026-11-24T10:01:00Z" },
      { item = "lamp", event = "view", time = "2026-11-24T10:02:00Z" },
    }
    t:equal(kept, 1)
    t:near(t:features({ item = "lamp" })["count(item,view,1h)"], math.log(1 + 1))
  end,
}
