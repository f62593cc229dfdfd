-- tries: an endless loop, again each time a pcall caught its end
-- expect: skipped, budget
while true do pcall(function() while true do end end) end
