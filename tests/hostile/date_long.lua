-- tries: a date of a hundred thousand dates
-- expect: skipped, error
-- says: more than 200
return os.date(("%c"):rep(100000))
