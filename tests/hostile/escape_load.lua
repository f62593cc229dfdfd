-- tries: code from texts and bytecode
-- expect: works
for _, name in ipairs { "load", "loadfile", "dofile", "loadstring", "package", "module" } do
  assert(not pcall(function() return _G[name] end))
end
