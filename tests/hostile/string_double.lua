-- tries: a text doubled until memory is full
-- expect: skipped, budget or memory
local s = "xxxxxxxxxxxxxxxx"
while true do s = s .. s end
