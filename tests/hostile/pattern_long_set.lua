-- tries: a set of a hundred thousand letters for each letter
-- expect: skipped, budget
return (("x"):rep(100000)):find("[" .. ("a"):rep(100000) .. "]")
