-- tries: an error without a value
-- expect: skipped, error
error()
