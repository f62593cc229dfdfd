-- tries: a handler that loops in its turn
-- expect: skipped, budget
while true do
  xpcall(function() while true do end end, function() while true do end end)
end
