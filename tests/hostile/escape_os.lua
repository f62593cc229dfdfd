-- tries: commands, the environment, the end of the process
-- expect: works
for _, name in ipairs { "execute", "exit", "getenv", "remove", "rename", "tmpname", "setlocale" } do
  assert(not pcall(function() return os[name]("x") end))
end
