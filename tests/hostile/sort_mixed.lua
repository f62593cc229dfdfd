-- tries: a sort of what cannot be compared
-- expect: skipped, error
-- says: compare
table.sort({ 1, "x", {} })
