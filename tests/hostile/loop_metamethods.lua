-- tries: every operator calls a function that loops
-- expect: skipped, budget
local function loop() while true do end end
local t = setmetatable({}, { __add = loop, __concat = loop, __eq = loop, __lt = loop, __len = loop, __call = loop })
pcall(function() return t + 1 end)
pcall(function() return t .. "" end)
pcall(function() return t < t end)
return #t
