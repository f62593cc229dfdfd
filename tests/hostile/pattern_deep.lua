-- tries: a pattern that recurses
-- expect: skipped, error
return (("x"):rep(1000)):match(("(x"):rep(30) .. ("x?"):rep(300))
