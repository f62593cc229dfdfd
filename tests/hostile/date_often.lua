-- tries: dates, for ever
-- expect: skipped, budget
while true do os.date("%c%c%c%c%c%c%c%c") end
