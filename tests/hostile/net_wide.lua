-- tries: nets built, for ever
-- expect: skipped, budget
while true do
  m.nn.build(m.nn.sequential { m.nn.dense(256, "relu"), m.nn.dense(1, "sigmoid") }, { inputs = { 256 }, seed = 1 })
end
