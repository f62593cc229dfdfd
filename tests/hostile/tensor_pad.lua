-- tries: a padding of 2^62 rows
-- expect: skipped, budget
return T.ones(2):pad({ 1 << 62 }, { 1 << 62 })
