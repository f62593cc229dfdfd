-- tries: the string library
-- expect: skipped, error
-- says: read-only
string.format = nil
