-- tries: a matrix product of a second
-- expect: skipped, budget
local a = T.ones { 1500, 1500 }
return a:matmul(a)
