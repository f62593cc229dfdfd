-- tries: globals by rawset
-- expect: skipped, error
rawset(_G, "print", 1)
