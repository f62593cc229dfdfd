-- tries: a move over 2^63 places
-- expect: skipped, budget
table.move({}, 1, math.maxinteger - 1, 2)
