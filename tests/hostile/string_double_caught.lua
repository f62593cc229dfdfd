-- tries: the same, and the error caught
-- expect: skipped, budget or memory
while true do
  pcall(function()
    local s = ("x"):rep(100000)
    while true do s = s .. s end
  end)
end
