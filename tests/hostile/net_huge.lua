-- tries: a net that does not fit
-- expect: skipped, budget or memory
return m.nn.build(m.nn.sequential { m.nn.dense(60000, "relu"), m.nn.dense(60000, "relu"), m.nn.dense(1, "sigmoid") }, { inputs = { 1000 }, seed = 1 })
