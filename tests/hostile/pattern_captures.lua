-- tries: more captures than there is room for
-- expect: skipped, error
-- says: too many captures
return (("x"):rep(100)):match(("(x)"):rep(40))
