-- tries: files out of the folder
-- expect: works
for _, name in ipairs { "../secret", "..secret", "/etc/passwd", "a/b", "a..b", "", ".", "os", "io", "moonshelf.native", "a\0b" } do
  assert(not pcall(require, name))
end
