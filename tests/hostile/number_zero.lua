-- tries: division by zero and shifts out of range
-- expect: works
assert(not pcall(function() return 1 // 0 end))
assert(not pcall(function() return 1 % 0 end))
assert(1 << 64 == 0 and 1 << -1 == 0 and math.mininteger // -1 == math.mininteger)
assert(not pcall(function() for _ = 1, 10, 0 do end end))
