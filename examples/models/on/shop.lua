--- on/shop.lua - what the models of this folder learn from the generated shop: which look ends in a purchase within a day.
---
--- Visitors have no embedding of their own: examples/shop/recipe.lua says why.

local m = require "moonshelf"

local on = {}

on.events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp:time" }
on.items = m.csv "items.csv" { item = "item_id", category = "category", brand = "brand", price = "price:number" }
on.preprocess = { m.drop_missing { "user", "item", "time" }, m.filter(function(row) return row.event ~= "bot" end) }

on.label = m.label { positive = "purchase", of = "view", within = "24h" }
on.split = m.split.by_time { 0.8, 0.1, 0.1 }

--- Every embedding of one width, so that they are fields to m.nn.fm.
function on.features(dim)
  return {
    m.id "item" { dim = dim, min_count = 20 },
    m.category "category" { dim = dim },
    m.category "brand" { dim = dim },
    m.history("item", { last = 20, of = { "view", "cart", "purchase" } }),
    m.log "price",
    m.count("item", "view", { "1h", "1d", "7d" }),
    m.rate("item", "purchase", "view", { over = "all", prior = { 1, 20 } }),
    m.rate("item", "cart", "view", { over = "all", prior = { 1, 10 } }),
    m.count("user", "view", { "1h", "1d", "all" }),
    m.count("user", "cart", { "1h", "1d" }),
    m.rate("user", "cart", "view", { over = "all", prior = { 1, 10 } }),
    m.rate("user", "purchase", "view", { over = "all", prior = { 1, 20 } }),
  }
end

--- The linear part of a model, as branches: a weight for each id and number.
function on.linear()
  return {
    m.nn.embedding(1, { input = "item.id" }), m.nn.embedding(1, { input = "category.id" }), m.nn.embedding(1, { input = "brand.id" }),
    m.nn.embedding_bag(1, { input = "history.ids" }),
    m.nn.dense(1, "linear", { input = "numbers" }),
  }
end

return on
