-- tries: an error that is a table
-- expect: skipped, error
error({ code = 1 })
