-- tries: a replacement function that loops
-- expect: skipped, budget
string.gsub(("x"):rep(10), ".", function() while true do end end)
