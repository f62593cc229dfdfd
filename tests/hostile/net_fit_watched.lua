-- tries: a fit whose watcher loops
-- expect: skipped, budget
local net = m.nn.build(m.nn.sequential { m.nn.dense(1, "sigmoid") }, { inputs = { 2 }, seed = 1 })
return net:fit { x = T.randn { 10, 2 }, y = T.zeros { 10, 1 }, loss = "bce", epochs = 2, on_epoch = function() while true do end end }
