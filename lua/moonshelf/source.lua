--- source.lua - m.source: where a slot's candidates come from.

local words = require "moonshelf.words"

local source = {}

local function make(kind)
  return function(n)
    local where = words.where("m.source." .. kind)
    n = words.integer(1, 100000)(where, ("m.source.%s"):format(kind), n == nil and 100 or n)
    return words.new("a source", where, { type = kind, n = n })
  end
end

--- The most events of all time.
---@type fun(n?: integer): moonshelf.Source
source.popular = make "popular"

--- The most events of late (half-life of 3 days).
---@type fun(n?: integer): moonshelf.Source
source.trending = make "trending"

--- Neighbours of the user's last items, of the item shown, or of the cart (item-kNN).
---@type fun(n?: integer): moonshelf.Source
source.similar = make "similar"

--- The user's own last items.
---@type fun(n?: integer): moonshelf.Source
source.recent = make "recent"

return words.module("m.source", source)
