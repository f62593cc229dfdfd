-- tries: .- eight times over a text that does not match
-- expect: skipped, budget
return (("a"):rep(5000)):find((".-"):rep(8) .. "b")
