-- tries: a full table in which a key is replaced, so that each new one rehashes it
-- expect: skipped, budget
local t, n = {}, 1 << 15
for i = 1, n do t["k" .. i] = i end
local i = 0
while true do
  i = i + 1
  t["k" .. i] = nil
  t["n" .. i] = i
end
