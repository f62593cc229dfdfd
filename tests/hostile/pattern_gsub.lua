-- tries: a* eight times in a gsub
-- expect: skipped, budget
return (("a"):rep(5000)):gsub(("a*"):rep(8) .. "b", "")
