--- gate.lua - m.gate: ready-made answers to "is this slot open for this request?". A gate is a function of ctx; write your own beside.

local words = require "moonshelf.words"

local gate = {}

--- Open where the request's `country` parameter is one of these.
---@param countries moonshelf.Text  "NL" or { "NL", "BE" }
---@return fun(ctx: moonshelf.Ctx): boolean
function gate.country(countries)
  local allowed = {}
  for _, country in ipairs(words.strings(words.where("m.gate.country"), "m.gate.country", countries)) do
    allowed[country] = true
  end
  return function(ctx) return allowed[ctx.params.country] == true end
end

--- Open for users whom the shop knows.
---@return fun(ctx: moonshelf.Ctx): boolean
function gate.known_user()
  return function(ctx) return ctx.user.known end
end

return words.module("m.gate", gate)
