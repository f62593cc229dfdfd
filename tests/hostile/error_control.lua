-- tries: an error with control characters
-- expect: skipped, error
error("a\0b\n\27[31m\xff")
