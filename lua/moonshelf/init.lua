--- init.lua - what `require "moonshelf"` returns: all words in one read-only table.

local native = require "moonshelf.native"
local words = require "moonshelf.words"
local data = require "moonshelf.data"
local rules = require "moonshelf.rules"
local features = require "moonshelf.features"
local formula = require "moonshelf.formula"
local recipe = require "moonshelf.recipe"
local site = require "moonshelf.site"
local request = require "moonshelf.request"
local test = require "moonshelf.test"

--- Bounds: of a column's cells as a rule, m.clip("price", { min = 0 }); of a number as a feature, m.clip("price", 0, 50).
---@overload fun(x: moonshelf.Number, low: number, high: number): moonshelf.Feature
---@overload fun(column: string, bounds: { min: number?, max: number? }): moonshelf.Rule
local function clip(x, low, high)
  local is_feature = type(x) == "table" or type(low) == "number" or high ~= nil
  local made = (is_feature and features.clip or rules.clip)(x, low, high) -- no tail call, which would hide the line
  return made
end

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
  time_zone = rules.time_zone,
  sessionize = rules.sessionize,
  join = rules.join,

  id = features.id,
  category = features.category,
  cross = features.cross,
  tags = features.tags,
  words = features.words,
  tfidf = features.tfidf,
  embedding_file = features.embedding_file,
  text_embedding = features.text_embedding,
  numeric = features.numeric,
  relative = features.relative,
  log = features.log,
  clip = clip,
  scale = features.scale,
  bucketize = features.bucketize,
  hour = features.hour,
  weekday = features.weekday,
  age = features.age,
  position = features.position,
  count = features.count,
  rate = features.rate,
  decay = features.decay,
  mean = features.mean,
  recency = features.recency,
  interacted_with = features.interacted_with,
  cooccurrence = features.cooccurrence,
  history = features.history,
  lua = features.lua,

  -- Of numbers in the function of m.lua.
  abs = formula.abs, ---@type fun(x: moonshelf.Symbol): moonshelf.Symbol
  exp = formula.exp, ---@type fun(x: moonshelf.Symbol): moonshelf.Symbol
  ln = formula.ln, ---@type fun(x: moonshelf.Symbol): moonshelf.Symbol
  sqrt = formula.sqrt, ---@type fun(x: moonshelf.Symbol): moonshelf.Symbol
  floor = formula.floor, ---@type fun(x: moonshelf.Symbol): moonshelf.Symbol
  min = formula.min, ---@type fun(x: moonshelf.Symbol|number, ...: moonshelf.Symbol|number): moonshelf.Symbol
  max = formula.max, ---@type fun(x: moonshelf.Symbol|number, ...: moonshelf.Symbol|number): moonshelf.Symbol
  when = formula.when,

  recipe = recipe.recipe,
  nn = require "moonshelf.nn",
  split = require "moonshelf.split",
  tune = require "moonshelf.tune".words, ---@type moonshelf.Tune

  site = site.site,
  page = site.page,
  slot = site.slot,
  source = require "moonshelf.source",
  policy = require "moonshelf.policy",
  gate = require "moonshelf.gate".words, ---@type moonshelf.Gates
  request = request.request,

  test = test.test,

  --- Tensors: m.tensor { { 1, 2 }, { 3, 4 } }, m.tensor.zeros { 2, 3 }, ...
  tensor = native.tensor,

  --- A tape, on which whatever is computed can be differentiated: m.grad(), m.grad { seed = 1 }.
  grad = native.grad, ---@type fun(options?: moonshelf.TapeOptions): moonshelf.Tape

  --- The plan of a recipe or a site as JSON text, keys sorted.
  plan = native.plan, ---@type fun(result: moonshelf.Result): string
}

return words.module("m", m)
