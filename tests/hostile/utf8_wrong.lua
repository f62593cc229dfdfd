-- tries: texts that are not UTF-8
-- expect: works
assert(not utf8.len("\xff"))
assert(not pcall(utf8.codepoint, "\xff"))
assert(not pcall(utf8.char, -1))
assert(not pcall(utf8.codepoint, "x", 1, 1 << 40))
