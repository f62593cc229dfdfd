-- tries: the metatables of globals, libraries and strings
-- expect: works
for _, x in ipairs { _G, string, table, math, os, coroutine, utf8 } do
  assert(not pcall(setmetatable, x, {}))
  assert(getmetatable(x) == false)
  assert(not pcall(rawset, x, "x", 1))
end
assert(getmetatable("") == false)
