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

source.popular = make "popular" --- the most events of all time
source.trending = make "trending" --- the most events of late (half-life of 3 days)
source.similar = make "similar" --- neighbours of the user's last items, of the item shown, of the cart (item-kNN)
source.recent = make "recent" --- the user's own last items

return words.module("m.source", source)
