-- tries: a concat of 2^63 places
-- expect: skipped, budget
return table.concat({}, "", 1, math.maxinteger)
