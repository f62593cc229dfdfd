-- tries: a frontier with a long set
-- expect: skipped, budget
return (("x"):rep(100000)):find("%f[" .. ("a"):rep(100000) .. "]")
