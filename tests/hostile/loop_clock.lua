-- tries: a loop until the clock says so
-- expect: skipped, budget
local till = os.time() + 3600
while os.time() < till do end
