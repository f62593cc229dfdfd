-- tries: utf8 over a long text, for ever
-- expect: skipped, budget
local s = ("\u{e9}"):rep(200000)
while true do
  utf8.len(s)
  utf8.offset(s, -1)
  utf8.len(s, -1)
end
