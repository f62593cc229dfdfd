--- recipe_test.lua - what the recipe of MovieLens promises: a rating of 4 or more is a like, and only likes make a history.
---
---   moonshelf test examples/movielens

local m = require "moonshelf"
local recipe = require "recipe"

local films = {
  { item = "50", title = "Star Wars", year = 1977, genres = "Action Adventure" },
  { item = "100", title = "Fargo", year = 1996, genres = "Crime Drama" },
  { item = "267", title = "unkonwn", year = "V", genres = "unkonwn" },
}

m.test "a rating of 4 or more is a like" {
  recipe = recipe, items = films,
  run = function(t)
    t:log {
      { user = "1", item = "50", rating = 4, time = 875072484 },
      { user = "1", item = "100", rating = 3, time = 875072490 },
    }
    local f = t:features { user = "1", item = "50" }
    t:near(f["rate(item,like/any,all)"], (1 + 5) / (1 + 10))
    t:near(f["rate(user,like/any,all)"], (1 + 5) / (2 + 10))
    t:near(t:features({ user = "1", item = "100" })["rate(item,like/any,all)"], (0 + 5) / (1 + 10))
    t:equal(f["history(item)"], { "50" }, "only what was liked")
  end,
}

m.test "a row without a rating is no event" {
  recipe = recipe, items = films,
  run = function(t)
    t:equal(t:log { { user = "1", item = "50", time = 875072484 } }, 0)
    t:equal(t:features({ user = "1", item = "50", at = "1997-09-24" })["count(item,any,all)"], 0)
  end,
}

m.test "what the files do not know is nothing" {
  recipe = recipe, items = films,
  run = function(t)
    t:equal(t:features({ item = "50", at = "1998-01-01" }).year, 1977)
    local f = t:features { item = "267", at = "1998-01-01" }
    t:equal(f.genres, nil)
    t:equal(f.year, 0)
  end,
}
