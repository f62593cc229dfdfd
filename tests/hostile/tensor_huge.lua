-- tries: a tensor of a terabyte
-- expect: skipped, budget or memory
return T.zeros { 1000000, 1000000 }
