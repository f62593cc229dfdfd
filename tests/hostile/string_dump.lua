-- tries: the bytecode of a function
-- expect: skipped, error
return string.dump(function() end)
