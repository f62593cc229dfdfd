-- tries: a model fitted in a policy
-- expect: skipped, budget
local net = m.nn.build(m.nn.sequential { m.nn.dense(64, "relu"), m.nn.dense(1, "sigmoid") }, { inputs = { 64 }, seed = 1 })
local x, y = T.randn { 1000, 64 }, T.zeros { 1000, 1 }
return net:fit { x = x, y = y, loss = "bce", epochs = 1000 }
