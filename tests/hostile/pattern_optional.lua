-- tries: a? thirty times, then a thirty times
-- expect: skipped, budget
local s = ("a"):rep(30)
return s:find(("a?"):rep(30) .. ("a"):rep(30))
