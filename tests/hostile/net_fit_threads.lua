-- tries: a fit with a million threads
-- expect: skipped, error
local net = m.nn.build(m.nn.sequential { m.nn.dense(1, "sigmoid") }, { inputs = { 2 }, seed = 1 })
return net:fit { x = T.randn { 600, 2 }, y = T.zeros { 600, 1 }, loss = "bce", epochs = 1, batch = 300, threads = 1000000 }
