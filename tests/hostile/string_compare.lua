-- tries: two equal long texts compared, for ever
-- expect: skipped, budget
local a, b = ("x"):rep(400000) .. "y", ("x"):rep(400000) .. "y"
local same = 0
while true do
  if a == b then same = same + 1 end
  if a < b then same = same + 1 end
  if a <= b then same = same + 1 end
end
