--- init.lua - what `require "moonshelf"` returns: all words in one read-only table.

local native = require "moonshelf.native"
local words = require "moonshelf.words"
local data = require "moonshelf.data"
local features = require "moonshelf.features"
local recipe = require "moonshelf.recipe"
local site = require "moonshelf.site"

---@class moonshelf
local m = {
  version = native.version, ---@type string

  csv = data.csv,
  tsv = data.tsv,
  drop_missing = data.drop_missing,
  filter = data.filter,
  map = data.map,
  dedupe = data.dedupe,
  label = data.label,

  id = features.id,
  category = features.category,
  cross = features.cross,
  tags = features.tags,
  words = features.words,
  tfidf = features.tfidf,
  embedding_file = features.embedding_file,
  numeric = features.numeric,
  log = features.log,
  clip = features.clip,
  scale = features.scale,
  bucketize = features.bucketize,
  hour = features.hour,
  weekday = features.weekday,
  age = features.age,
  position = features.position,
  count = features.count,
  rate = features.rate,
  decay = features.decay,
  recency = features.recency,
  interacted_with = features.interacted_with,
  history = features.history,

  recipe = recipe.recipe,
  nn = require "moonshelf.nn",
  split = require "moonshelf.split",

  site = site.site,
  page = site.page,
  slot = site.slot,
  source = require "moonshelf.source",
  policy = require "moonshelf.policy",
  gate = require "moonshelf.gate",

  --- Tensors: m.tensor { { 1, 2 }, { 3, 4 } }, m.tensor.zeros { 2, 3 }, ...
  tensor = native.tensor,

  --- A tape, on which whatever is computed can be differentiated: m.grad(), m.grad { seed = 1 }.
  grad = native.grad, ---@type fun(options?: moonshelf.TapeOptions): moonshelf.Tape

  --- The plan of a recipe or a site as JSON text, keys sorted.
  plan = native.plan, ---@type fun(result: moonshelf.Result): string
}

return words.module("m", m)
