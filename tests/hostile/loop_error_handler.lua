-- tries: a loop in the handler of an ordinary error
-- expect: skipped, budget
xpcall(error, function() while true do end end)
