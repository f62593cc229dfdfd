--- request.lua - m.request: a value of a condition that comes with the request, `{ region = m.request "country" }`.

local words = require "moonshelf.words"

local request = {}

local function default(where, what, value)
  local fine = (type(value) == "string" and value ~= "") or (type(value) == "number" and value - value == 0)
  if not fine then words.expect(where, what, "a string or a number", value) end
  return value
end

local OPTIONS = { default = { default }, optional = { words.boolean } }

--- What the request's parameter says: ctx.params.<name>.
---@param name string
---@param options? { default: string|number?, optional: boolean? }  for requests without it
---@return moonshelf.RequestValue
function request.request(name, options)
  local where = words.where("m.request")
  words.text(where, "m.request", name)
  local o = words.options(where, ("m.request %q"):format(name), options, OPTIONS)
  if o.optional and o.default ~= nil then
    words.complain(where, "m.request %q: with a default it is always there, and need not be optional", name)
  end
  return words.new("a value of the request", where, { param = name, default = o.default, optional = o.optional })
end

return request
