-- tries: a net asked for ever
-- expect: skipped, budget
local net = m.nn.build(m.nn.sequential { m.nn.dense(64, "relu"), m.nn.dense(1, "sigmoid") }, { inputs = { 64 }, seed = 1 })
local x = T.randn { 200, 64 }
while true do net:predict(x) end
