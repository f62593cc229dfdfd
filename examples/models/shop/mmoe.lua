--- mmoe.lua - the Multi-gate Mixture-of-Experts (Ma et al. 2018): four experts, which each task listens to in its own measure.
---
--- Between a body that is shared as a whole and two towers that share nothing: a gate of its own tells each task, look by look, whom to
--- hear.

local m = require "moonshelf"
local nn = m.nn

--- The experts are the same for both, because they share their weights by name; the gate and what follows are each one's own.
local function tower()
  local experts = { nn.dense(4), merge = "gate" }
  for i = 1, 4 do experts[i + 1] = nn.dense(32, "relu", { share = "expert " .. i }) end
  return nn.sequential { nn.parallel(experts), nn.dense(16, "relu"), nn.dense(1, "sigmoid") }
end

return m.recipe "mmoe" {
  events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp:time" },
  items = m.csv "items.csv" { item = "item_id", category = "category", brand = "brand", price = "price:number" },
  preprocess = { m.drop_missing { "user", "item", "time" }, m.filter(function(row) return row.event ~= "bot" end) },
  label = {
    cart = m.label { positive = "cart", of = "view", within = "24h" },
    purchase = m.label { positive = "purchase", of = "view", within = "24h" },
  },

  features = {
    m.id "item" { dim = 8, min_count = 20 },
    m.category "category" { dim = 8 },
    m.category "brand" { dim = 8 },
    m.history("item", { last = 20, of = { "view", "cart", "purchase" } }),
    m.log "price",
    m.count("item", "view", { "1h", "1d", "7d" }),
    m.rate("item", "purchase", "view", { over = "all", prior = { 1, 20 } }),
    m.rate("item", "cart", "view", { over = "all", prior = { 1, 10 } }),
    m.count("user", "view", { "1h", "1d", "all" }),
    m.count("user", "cart", { "1h", "1d" }),
    m.rate("user", "cart", "view", { over = "all", prior = { 1, 10 } }),
    m.rate("user", "purchase", "view", { over = "all", prior = { 1, 20 } }),
  },

  model = nn.sequential { nn.heads { cart = tower(), purchase = tower() } },

  train = {
    optimizer = nn.adam { lr = 5e-4 }, epochs = 20, batch = 256, split = m.split.by_time { 0.8, 0.1, 0.1 },
    patience = 2, -- stops when two epochs no longer help on the validation part, and takes the best
  },
  evaluate = { "auc", "logloss", "recall@10", "ndcg@10", "cart.auc", "cart.logloss", "purchase.auc", "purchase.logloss" },
}
