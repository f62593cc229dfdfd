--- init.lua - what `require "moonshelf"` returns: all words in one read-only table.

local native = require "moonshelf.native"
local words = require "moonshelf.words"
local data = require "moonshelf.data"
local features = require "moonshelf.features"
local recipe = require "moonshelf.recipe"
local site = require "moonshelf.site"

---@class moonshelf
local m = {
  version = native.version,
  --- The plan of a recipe or a site as JSON text.
  plan = native.plan,
  recipe = recipe.recipe,
  site = site.site,
  page = site.page,
  slot = site.slot,
  nn = require "moonshelf.nn",
  split = require "moonshelf.split",
  source = require "moonshelf.source",
  policy = require "moonshelf.policy",
  gate = require "moonshelf.gate",
}
for _, part in ipairs { data, features } do
  for name, word in pairs(part) do m[name] = word end
end

return words.module("m", m)
