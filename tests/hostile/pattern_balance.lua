-- tries: %b from every bracket
-- expect: skipped, budget
return (("("):rep(100000)):find("%b()x")
