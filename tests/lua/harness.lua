--- harness.lua - what the tests in this folder share: named tests, comparisons that say what differs, and errors that must point at the
--- line that made them.

local cjson = require "cjson"
local m = require "moonshelf"

local t = {}

---------------------------------------------------------------------------------------------------- running

local failed, run = 0, 0

--- A test, named for its promise; it runs at once.
---@param name string
---@param fn fun()
function t.test(name, fn)
  run = run + 1
  local fine, message = xpcall(fn, debug.traceback)
  if fine then
    print("ok " .. name)
  else
    failed = failed + 1
    print(("not ok %s\n  %s"):format(name, tostring(message):gsub("\n", "\n  ")))
  end
end

--- The last line of a test file.
function t.done()
  print(("%d tests, %d failed"):format(run, failed))
  os.exit(failed == 0 and run > 0 and 0 or 1)
end

---------------------------------------------------------------------------------------------------- comparing

--- A value as text, keys sorted: equal texts are equal values.
local function show(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) == "number" then return ("%.17g"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for key, inner in pairs(value) do parts[#parts + 1] = ("[%s] = %s"):format(show(key), show(inner)) end
  table.sort(parts)
  return "{ " .. table.concat(parts, ", ") .. " }"
end
t.show = show

function t.equal(got, want, what)
  local a, b = show(got), show(want)
  if a ~= b then error(("%s\n     is %s\n    not %s"):format(what or "values differ", a, b), 2) end
end

--- The fields of `want` are in `got`; `got` may have more.
function t.has(got, want, what)
  for key, value in pairs(want) do
    if show(got[key]) ~= show(value) then
      error(("%s: %s is %s, not %s"):format(what or "fields", tostring(key), show(got[key]), show(value)), 2)
    end
  end
end

--- `fn` must raise an error that begins with a place inside fn's own lines, shows none of our files, and holds each of the texts.
function t.fails(fn, ...)
  local fine, message = pcall(fn)
  local info = debug.getinfo(fn, "S")
  if fine then error(("no error from line %d"):format(info.linedefined), 2) end
  local file, line = tostring(message):match("^([%w_./-]+%.lua):(%d+): ")
  if file ~= info.short_src or tonumber(line) < info.linedefined or tonumber(line) > info.lastlinedefined then
    error(("the error must begin with %s:%d: and is\n    %s"):format(info.short_src, info.linedefined, tostring(message)), 2)
  end
  if message:find("moonshelf/", 1, true) then error("the error names a file of ours: " .. message, 2) end
  for _, text in ipairs { ... } do
    if not message:find(text, 1, true) then error(("the error must hold '%s' and is\n    %s"):format(text, message), 2) end
  end
end

---------------------------------------------------------------------------------------------------- plans

--- The plan of a recipe or a site as a table.
function t.plan(result) return cjson.decode(m.plan(result)) end

--- A small recipe with some of its options changed; false takes one away.
function t.recipe(changes)
  local options = {
    events = m.csv "events.csv" { user = "u", item = "i", time = "t", event = "e", rating = "r:number" },
    items = m.csv "items.csv" { item = "i", category = "c", price = "p:number" },
    label = m.label { positive = "purchase", of = "view", within = "24h" },
    features = { m.id "user", m.id "item", m.log "price" },
    model = m.nn.sequential { m.nn.dense(4, "relu"), m.nn.dense(1, "sigmoid") },
  }
  for key, value in pairs(changes or {}) do options[key] = value or nil end
  return (m.recipe "small"(options)) -- the parentheses keep this line: a tail call would lose it
end

--- The plan of one slot with these options.
function t.slot(options)
  options.from = options.from or m.source.popular(10)
  return t.plan(m.site { home = m.page { m.slot "s"(options) } }).surfaces.home.slots[1]
end

--- The plan of one policy.
function t.policy(policy) return t.slot { rerank = policy }.policies[1] end

--- The plan of one feature, which may need the others of a whole recipe.
function t.feature(feature) return t.plan(t.recipe { features = { m.id "item" { dim = 3 }, feature } }).features[2] end

return t
