"""A shop small enough to train in a blink, for tests that drive the real binary."""
import os
import random
import subprocess

MOONSHELF = os.environ.get("MOONSHELF", "moonshelf")

RECIPE = """\
local m = require "moonshelf"
return m.recipe "shoplet" {
  events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp" },
  items = m.csv "items.csv" { item = "item_id", product = "product", title = "title", category = "category",
                              brand = "brand", price = "price", stock = "stock" },
  preprocess = { m.drop_missing { "user", "item", "time" }, m.filter(function(e) return e.event ~= "bot" end) },
  label = m.label { positive = "purchase", of = "view", within = "24h" },
  features = {
    m.id "user" { dim = 4 }, m.id "item" { dim = 4 }, m.category "category" { dim = 2 }, m.log "price",
    m.count("item", "view", { "1h", "7d" }), m.rate("item", "purchase", "view", { over = "7d", prior = { 1, 20 } }),
    m.history("item", { last = 5 }),
  },
  model = m.nn.sequential { m.nn.dense(8, "relu"), m.nn.dense(1, "sigmoid") },
  train = { loss = "bce", optimizer = m.nn.adam { lr = 0.01 }, epochs = 2, batch = 32,
            split = m.split.by_time { 0.8, 0.1, 0.1 }, seed = 1 },
  evaluate = { "accuracy", "auc", "logloss", "recall@5", "ndcg@5" },
}
"""

SITE = """\
local m = require "moonshelf"
local p = m.policy
return m.site {
  home = m.page {
    m.slot "for_you" { title = "For you", take = 6, from = { m.source.similar(30), m.source.popular(60) }, rank = true,
                       rerank = { p.cap { category = 3 }, p.boost({ brand = "acme" }, 1.5, { reason = "partner week" }) } },
    m.slot "recent" { title = "Seen lately", take = 4, from = m.source.recent(20) },
    m.slot "trending" { title = "Trending", take = 6, from = m.source.trending(60) },
    dedupe = "item", fallback = m.source.popular(60),
  },
  product = m.page { m.slot "similar" { title = "Similar", take = 6, from = m.source.similar(30) },
                     dedupe = "item", fallback = m.source.popular(60) },
  cart = m.page { m.slot "goes_with" { title = "Goes with it", take = 6, from = { m.source.similar(30), m.source.popular(30) } },
                  dedupe = "item", fallback = m.source.popular(60) },
}
"""


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return path


def make(folder, events=4000, users=60, items=50, seed=3):
    """Writes events.csv, items.csv, recipe.lua and site.lua into `folder`."""
    rng = random.Random(seed)
    rows = ["item_id,product,title,category,brand,price,stock"]
    for i in range(items):
        stock = 0 if i % 17 == 16 else rng.randint(1, 90)
        rows.append(f'i{i},p{i // 2},"Thing ""{i}"", fine",cat{i % 5},{"acme" if i % 3 else "zeta"},{rng.uniform(2, 90):.2f},{stock}')
    write(folder, "items.csv", "\n".join(rows) + "\n")
    rows, clock = ["timestamp,user_id,item_id,event"], 1_760_000_000
    while len(rows) <= events:
        clock += rng.randint(1, 600)
        user, item = rng.randrange(users), min(int(rng.expovariate(0.08)), items - 1)
        rows.append(f"{clock},u{user},i{item},view")
        if (user + item) % 5 == 0 and rng.random() < 0.6:
            rows.append(f"{clock + 30},u{user},i{item},purchase")
    write(folder, "events.csv", "\n".join(rows) + "\n")
    return write(folder, "recipe.lua", RECIPE), write(folder, "site.lua", SITE)


def run(*args, ok=0, timeout=120, **kwargs):
    """Runs `moonshelf ARGS` and checks the exit code; answers the finished process with text output."""
    done = subprocess.run([MOONSHELF, *args], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, **kwargs)
    if done.returncode != ok:
        raise AssertionError(f"moonshelf {' '.join(args)}: exit {done.returncode}, expected {ok}\n{done.stdout}\n{done.stderr}")
    return done


def train(folder, out, *more, **kwargs):
    return run("train", os.path.join(folder, "recipe.lua"), "--data", folder, "--out", out, *more, **kwargs)
