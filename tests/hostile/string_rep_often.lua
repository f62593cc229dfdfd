-- tries: a long text, again and again, each caught
-- expect: skipped, budget
while true do pcall(string.rep, "x", 400000) end
