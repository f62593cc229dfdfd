-- tries: .* eight times in a gmatch
-- expect: skipped, budget
for _ in (("a"):rep(5000)):gmatch((".*"):rep(8) .. "b") do end
