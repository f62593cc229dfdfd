--- source.lua - m.source: where a slot's candidates come from.

local conditions = require "moonshelf.when"
local words = require "moonshelf.words"

local source = {}

local QUOTA = { at_least = { words.integer(0, 1000) }, at_most = { words.integer(1, 1000) } }

local function make(kind, own)
  local spec = {}
  for _, options in ipairs { QUOTA, own } do
    for name, rule in pairs(options) do spec[name] = rule end
  end
  return function(n, options)
    local word = "m.source." .. kind
    local where = words.where(word)
    n = words.integer(1, 100000)(where, word, n == nil and 100 or n)
    local o = words.options(where, word, options, spec)
    if words.known(o.at_least) and words.known(o.at_most) and o.at_least > o.at_most then
      words.complain(where, "%s: at_least (%d) must not be above at_most (%d)", word, o.at_least, o.at_most)
    end
    return words.new("a source", where, { type = kind, n = n, at_least = o.at_least, at_most = o.at_most, when = o.when })
  end
end

--- The most events of all time.
---@type fun(n?: integer, options?: moonshelf.SourceOptions): moonshelf.Source
source.popular = make "popular"

--- The most events of late (half-life of 3 days).
---@type fun(n?: integer, options?: moonshelf.SourceOptions): moonshelf.Source
source.trending = make "trending"

--- Neighbours of the user's last items, of the item shown, or of the cart (item-kNN).
---@type fun(n?: integer, options?: moonshelf.SourceOptions): moonshelf.Source
source.similar = make "similar"

--- The user's own last items.
---@type fun(n?: integer, options?: moonshelf.SourceOptions): moonshelf.Source
source.recent = make "recent"

--- Those whose embeddings are nearest to the user's last items, to the item shown, or to the cart.
---@type fun(n?: integer, options?: moonshelf.NearestOptions): moonshelf.Source
source.nearest = make("nearest", { when = { function(where, what, when) return conditions(where, (what:gsub(": when$", "")), when) end } })

return words.module("m.source", source)
