-- tries: the seed of random numbers
-- expect: skipped, error
-- says: seeds random numbers
math.randomseed(1)
