-- tries: another environment
-- expect: works
local _ENV = { print = print }
assert = nil
print(assert)
