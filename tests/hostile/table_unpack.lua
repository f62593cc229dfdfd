-- tries: more values than there is stack
-- expect: skipped, budget
return table.unpack({}, 1, 999999)
