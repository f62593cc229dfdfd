--- recipe_test.lua - what the recipe of all words promises of a few of them.
---
---   moonshelf test examples/features

local m = require "moonshelf"
local recipe = require "recipe"

local items = {
  { item = "vase", product = "p1", title = "Rosa Glass Vase", category = "decor", brand = "Glim", price = 30, launched = "2026-01-01" },
  { item = "bowl", product = "p2", title = "Tilno Stone Bowl", category = "decor", brand = "Mira", price = 10, launched = "2026-01-01" },
  { item = "rug", product = "p3", title = "Rug", category = "floors", brand = "Mira" },
}

local function look(t, user, item, time)
  t:event { user = user, item = item, event = "view", time = time }
end

m.test "functions of an item are asked once for each" {
  recipe = recipe, items = items,
  run = function(t)
    t:equal(t:features { user = "ann", item = "vase", at = "2026-09-01" }.material, "Glass")
    t:equal(t:features { user = "ann", item = "rug", at = "2026-09-01" }.material, nil, "one word has no material before it")
  end,
}

m.test "a price is held against its category, and against what the visitor looks at" {
  recipe = recipe, items = items,
  run = function(t)
    local function vase(at) return t:features { user = "ann", item = "vase", at = at } end
    t:near(vase("2026-09-01")["relative(price,category)"], 30 / 20)
    t:equal(vase("2026-09-01").dear, 1, "nothing is known of ann yet")
    for minute = 1, 3 do look(t, "ann", "bowl", ("2026-09-01T10:0%d:00Z"):format(minute)) end
    t:near(vase("2026-09-01T11:00:00Z").dear, 30 / 10, 1e-3)
  end,
}

m.test "what others looked at together speaks for an item" {
  recipe = recipe, items = items,
  run = function(t)
    look(t, "ben", "bowl", "2026-09-01T09:00:00Z")
    look(t, "ben", "vase", "2026-09-01T09:01:00Z")
    look(t, "ann", "bowl", "2026-09-01T10:00:00Z")
    t:ok(t:features { user = "ann", item = "vase", at = "2026-09-01T11:00:00Z" }["cooccurrence(view)"] > 0)
    t:equal(t:features { user = "ann", item = "rug", at = "2026-09-01T11:00:00Z" }["cooccurrence(view)"], 0)
  end,
}

m.test "the hour is that of the shop's town, in summer and in winter" {
  recipe = recipe, items = items,
  run = function(t)
    local function hour(at) return t:features { user = "ann", item = "vase", at = at }.hour end
    local noon = hour "2026-07-01T12:00:00Z"
    t:equal(hour "2026-12-01T13:00:00Z", noon, "an hour later in winter, it is as late on the wall")
    t:ok(hour "2026-12-01T12:00:00Z" ~= noon)
  end,
}

m.test "who was not seen for 45 days is somebody new" {
  recipe = recipe, items = items,
  run = function(t)
    look(t, "ann", "vase", "2026-07-01T10:00:00Z")
    local function known(at) return #t:features { user = "ann", item = "bowl", at = at }["history(item)"] end
    t:equal(known "2026-08-15T10:00:00Z", 1)
    t:equal(known "2026-08-15T10:00:01Z", 0)
    look(t, "ann", "bowl", "2026-10-01T10:00:00Z")
    t:equal(known "2026-10-01T11:00:00Z", 1, "a new life, without the vase")
  end,
}
