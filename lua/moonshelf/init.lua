--- init.lua - what `require "moonshelf"` returns: all words in one read-only table.

local native = require "moonshelf.native"
local words = require "moonshelf.words"
local data = require "moonshelf.data"
local rules = require "moonshelf.rules"
local features = require "moonshelf.features"
local recipe = require "moonshelf.recipe"
local site = require "moonshelf.site"

---@class moonshelf
local m = {
  version = native.version, ---@type string

  csv = data.csv,
  tsv = data.tsv,
  jsonl = data.jsonl,
  sqlite = data.sqlite,
  postgres = data.postgres,
  label = data.label,

  drop_missing = rules.drop_missing,
  filter = rules.filter,
  dedupe = rules.dedupe,
  k_core = rules.k_core,
  bots = rules.bots,
  map = rules.map,
  fill = rules.fill,
  cast = rules.cast,
  rename = rules.rename,
  clip = rules.clip,
  time_zone = rules.time_zone,
  sessionize = rules.sessionize,
  join = rules.join,

  id = features.id,
  category = features.category,
  numeric = features.numeric,
  log = features.log,
  count = features.count,
  rate = features.rate,
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
