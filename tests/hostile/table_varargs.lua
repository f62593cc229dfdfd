-- tries: long lists of arguments copied, for ever
-- expect: skipped, budget or memory
local function f(...)
  return select("#", ...), select("#", ...), select("#", ...), select("#", ...)
end
local t = {}
for i = 1, 200000 do t[i] = i end
while true do f(table.unpack(t)) end
