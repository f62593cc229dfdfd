-- tries: a text of a gigabyte
-- expect: skipped, error
-- says: memory
return ("x"):rep(1 << 30)
