-- tries: an error as long as memory
-- expect: skipped, error
error(("x"):rep(400000))
