-- Moonshelf driven by a stock lua5.4: a page, an event, the page after it, and a list ranked.
--
--   LUA_CPATH="PREFIX/lib/lua/5.4/?.so" lua5.4 page.lua BUNDLE SITE.lua [USER [ITEM]]
local runtime = require "moonshelf.runtime"

local bundle, site, user, item = arg[1], arg[2], arg[3] or "u1", arg[4] or "i1"
if not site then
  io.stderr:write "usage: lua5.4 page.lua BUNDLE SITE.lua [USER [ITEM]]\n"
  os.exit(2)
end

local shop <close> = runtime.open { bundle = bundle, site = site } -- raises what goes wrong; pcall catches it

local function show(title)
  local page = shop:page { surface = "home", user = user, params = { country = "NL" } }
  print(("== %s: %s"):format(title, page.cold and "a new visitor" or "known"))
  for _, slot in ipairs(page.slots) do
    local ids = {}
    for i, shown in ipairs(slot.items) do ids[i] = shown.id end
    print(slot.name, table.concat(ids, " "))
  end
  return page
end

local page = show "before"
shop:event { user = user, item = item, event = "view" }
show "after the view"

local candidates = {}
for _, shown in ipairs(page.slots[1].items) do candidates[#candidates + 1] = shown.id end
for _, ranked in ipairs(shop:rank { user = user, items = candidates }) do
  print(("%-8s %.4f"):format(ranked.id, ranked.score))
end
print(("%d pages, %d event"):format(shop:metrics().pages, shop:metrics().events))
