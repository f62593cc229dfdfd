-- tries: dates that are none
-- expect: works
assert(not pcall(os.date, "%Ez"))
assert(not pcall(os.time, { year = 1 << 40, month = 1, day = 1 }))
assert(not pcall(os.date, "*t", 1 << 62))
