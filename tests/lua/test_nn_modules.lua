-- m.nn.param, m.nn.build, m.nn.make_optimizer: models in Lua. What layers and optimisers compute is tested in C.
local t = require "harness"
local m = require "moonshelf"

local T, nn = m.tensor, m.nn

local function same(a, b) t.equal(a:to_table(), b:to_table()) end

---------------------------------------------------------------------------------------------------- parameters

t.test("a parameter is a copy of a tensor, or of a shape", function()
  local from = T { { 1, 2 }, { 3, 4 } }
  local p = nn.param(from, { name = "w" })
  from[1] = 0
  t.equal({ p:value():to_table(), p:name(), p:shape(), tostring(p) }, { { { 1.0, 2.0 }, { 3.0, 4.0 } }, "w", { 2, 2 }, 'parameter "w" f32 [2, 2]' })
  p:value():mul_(2) -- the parameter's own memory
  t.equal(p:value()[2][2], 8.0)
  t.equal(p:set(5):value():to_table(), { { 5.0, 5.0 }, { 5.0, 5.0 } })
  t.equal(nn.param({ 3 }):value():to_table(), { 0.0, 0.0, 0.0 })
  t.equal(nn.param({ 3 }, { init = "ones", dtype = "f64" }):value():dtype(), "f64")
  same(nn.param({ 4, 4 }, { seed = 7 }):value(), nn.param({ 4, 4 }, { seed = 7 }):value())
  local spread = math.sqrt((nn.param({ 100, 100 }, { init = "normal", deviation = 0.1, seed = 1 }):value() ^ 2):mean())
  assert(math.abs(spread - 0.1) < 0.01)
  t.equal(nn.param({ 1 }, { freeze = true }):is_frozen(), true)
  t.fails(function() nn.param "x" end, "m.nn.param: a tensor or a shape, such as {64, 32}, is wanted, got string")
  t.fails(function() nn.param({ 1 }, { init = "norml" }) end, "there is no init 'norml'; did you mean 'normal'?")
  t.fails(function() nn.param({ 1 }, { dtype = "i64" }) end, "trainable tensors are f32 or f64, not i64")
  t.fails(function() p:set(T { 1, 2, 3 }) end, "param:set: ")
  t.fails(function() p:vale() end, "there is no method of a parameter 'vale'; did you mean 'value'?")
end)

t.test("a sparse parameter's rows move only where they were read", function()
  local p = nn.param(T.ones { 5, 2 }, { sparse = true })
  local opt = nn.make_optimizer(nn.adam { lr = 0.1 }, { p })
  local g = m.grad()
  g:backward(g:gather(p, { 2, 4 }):sum())
  opt:step()
  local moved = (p:value() - 1):abs():sum(2):gt(0):to_table()
  t.equal(moved, { 0, 1, 0, 1, 0 })
  t.fails(function() g:leaf(p) end, "is sparse: its rows are read by g:gather")
end)

---------------------------------------------------------------------------------------------------- a loop by hand

t.test("a linear regression finds its line", function()
  local x = T.randn({ 200, 2 }, T.rng(1))
  local y = x:matmul(T { { 2 }, { -3 } }) + 0.5
  local w, b = nn.param({ 2, 1 }, { name = "w" }), nn.param({ 1 }, { name = "b" })
  local opt = nn.make_optimizer(nn.adam { lr = 0.05 }, { w, b })
  local g, first, last = m.grad(), nil, nil
  for _ = 1, 400 do
    g:reset()
    local loss = g:mse(g:constant(x):matmul(w) + b, y)
    g:backward(loss)
    opt:step()
    last = loss:item()
    first = first or last
  end
  assert(first > 5 and last < 1e-4, last)
  assert((w:value() - T { { 2 }, { -3 } }):abs():max() < 0.01 and math.abs(b:value():item() - 0.5) < 0.01)
  t.equal({ opt:steps(), math.abs(opt:lr() - 0.05) < 1e-12, w:grad():abs():sum() }, { 400, true, 0.0 })
end)

t.test("an optimiser says what it does not know", function()
  local p = nn.param { 2 }
  t.fails(function() nn.make_optimizer(nn.adam {}, {}) end, "a list of parameters is wanted second")
  t.fails(function() nn.make_optimizer(nn.adam {}, { p, p }) end, "is there twice")
  t.fails(function() nn.make_optimizer(nn.adam {}, { 1 }) end, "a parameter (m.nn.param) is wanted, got number")
  t.fails(function() nn.make_optimizer({ type = "adm" }, { p }) end, "adm")
  local opt = nn.make_optimizer(nn.adam {}, { p })
  t.fails(function() opt:stp() end, "there is no method of an optimizer 'stp'; did you mean 'step'?")
  t.fails(function() opt.step() end, "optimizer:step: an optimizer is wanted first")
end)

---------------------------------------------------------------------------------------------------- nets

local XOR_X, XOR_Y = T { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } }, T { 0, 1, 1, 0 }

local function mlp(seed)
  return nn.build(nn.sequential { nn.dense(8, "tanh"), nn.dense(1, "sigmoid") }, { inputs = { 2 }, seed = seed or 1 })
end

t.test("a net learns xor, by fit and by hand alike", function()
  local net = mlp()
  local result = net:fit { x = XOR_X, y = XOR_Y, loss = "bce", optimizer = nn.adam { lr = 0.05 }, epochs = 300, batch = 4 }
  t.equal(#result.train_loss, 300)
  t.equal(result.validation_loss, nil)
  assert(result.train_loss[300] < 0.05, result.train_loss[300])
  t.equal(net:predict(XOR_X):reshape(-1):gt(0.5):to_table(), { 0, 1, 1, 0 })
  local hand = mlp()
  local opt, g = nn.make_optimizer(nn.adam { lr = 0.05 }, hand:params()), m.grad()
  for _ = 1, 300 do
    g:reset()
    g:backward(g:bce(hand(g, XOR_X), XOR_Y))
    opt:step()
  end
  assert((net:predict(XOR_X) - hand:predict(XOR_X)):abs():max() < 1e-3) -- rows in another order: other roundings
end)

t.test("the same seed gives the same net and the same training", function()
  local function trained(seed)
    local net = mlp()
    net:fit { x = XOR_X, y = XOR_Y, loss = "bce", epochs = 5, batch = 2, seed = seed }
    return net:predict(XOR_X):to_table()
  end
  t.equal(trained(1), trained(1))
  assert(t.show(trained(1)) ~= t.show(trained(2)))
end)

t.test("fit watches the last rows, tells of epochs and stops when told", function()
  local x, seen = T.randn({ 50, 2 }, T.rng(1)), {}
  local y = x:sum(2)
  local net = nn.build(nn.dense(1), { inputs = { 2 } })
  local result = net:fit { x = x, y = y, loss = "mse", epochs = 9, batch = 7, validation = 0.2, optimizer = nn.adam { lr = 0.1 },
    on_epoch = function(e)
      seen[#seen + 1] = e
      return e.epoch < 4
    end }
  t.equal({ #result.train_loss, #result.validation_loss, #seen }, { 4, 4, 4 })
  t.equal(seen[4], { epoch = 4, epochs = 9, train_loss = result.train_loss[4], validation_loss = result.validation_loss[4] })
  local tail = x:slice(1, 41)
  local loss = ((net:predict(tail):reshape(-1) - y:slice(1, 41)) ^ 2):mean()
  assert(math.abs(loss - result.validation_loss[4]) < 1e-5)
end)

t.test("what does not fit is named by its op or layer, with both shapes", function()
  local g, p = m.grad(), nn.param({ 4, 3 }, { sparse = true })
  local net = nn.build(nn.sequential { nn.parallel { nn.dense(4), nn.embedding(3, { input = "item" }) }, nn.dense(1) },
    { inputs = { x = { 2 }, item = { ids = 10 } } })
  local a, ones = T.ones { 2, 3 }, T.ones { 1, 2 }
  local stranger, path = nn.build(nn.dense(4), { inputs = { 2 } }), os.tmpname()
  stranger:save(path)
  for _, case in ipairs {
    { function() nn.build(nn.sequential { nn.dense(3), nn.gru(4) }, { inputs = { 4 } }) end, "gru: takes [n, steps, d], not [n, 3]" },
    { function() nn.build(nn.reshape { 4, 2 }, { inputs = { 6 } }) end, "reshape: cannot make [n, 4, 2] of [n, 6]" },
    { function() net(g, { x = T.ones { 3, 5 }, item = { 1, 2, 3 } }) end, "net: input 'x' is [n, 2], got [3, 5]" },
    { function() net:predict { x = T.ones { 3, 5 }, item = { 1, 2, 3 } } end, "net:predict: input 'x' is [n, 2], got [3, 5]" },
    { function() a:matmul(a) end, "tensor:matmul: [2, 3] against [2, 3]" },
    { function() g:constant(a):matmul(a) end, "matmul: [2, 3] against [2, 3]" },
    { function() g:constant(a):dense(a, T.ones { 3 }) end, "dense: [2, 3] against [2, 3]" },
    { function() return a + T.ones { 2, 4 } end, "tensor:add: [2, 3] against [2, 4]" },
    { function() g:gather(p, { 1, 5 }) end, "gather: position 5 is out of range: the rows are those of [4, 3]" },
    { function() g:gather(p, T({ { 1, 5 } }, "i64")) end, "gather: position 5 is out of range" },
    { function() g:gather(p, T({ { 0, 1 } }, "i64")) end, "gather: positions count from 1, got 0" },
    { function() g:gather_mean(p, T({ { 1, 9 } }, "i64")) end, "gather_mean: position 9 is out of range: the rows are those of [4, 3]" },
    { function() g:embedding_bag(p, { 1, 9 }, { 2 }) end, "embedding_bag: position 9 is out of range: the rows are those of [4, 3]" },
    { function() g:cross_entropy(g:constant(a), { 1, 4 }) end, "cross_entropy: class 4 of row 2 is out of range: the logits are [2, 3]" },
    { function() a:take { 3 } end, "tensor:take: position 3 is outside of a dimension of 2" },
    { function() a:gather(1, T({ { 3, 1, 1 } }, "i64")) end, "tensor:gather: position 3 is outside of a dimension of 2" },
    { function() a:scatter_add({ 3 }, T.ones { 1, 3 }) end, "tensor:scatter_add: position 3 is outside of a dimension of 2" },
    { function() net(g, { x = ones, item = { 11 } }) end, "net: input 'item' has position 11, of at most 10" },
    { function() net(g, { x = ones, item = T({ 0 }, "i64") }) end, "net: positions count from 1, got 0" },
    { function() net:predict { x = ones, item = { 11 } } end, "net:predict: input 'item' has position 11, of at most 10" },
    { function() net:fit { x = { x = ones, item = { 11 } }, y = T.ones { 1 }, loss = "mse" } end, "net:fit: input 'item' has position 11, of at most 10" },
    { function() net:load(path) end, "net:load: '0.0.weight' is missing" },
    { function() nn.build(nn.dense(5), { inputs = { 2 } }):load(path) end, "net:load: 'weight' is [2, 4], the net's [2, 5]" },
  } do
    t.fails(case[1], case[2])
  end
  os.remove(path)
end)

t.test("a fit that runs away says so", function()
  local line = nn.build(nn.dense(1), { inputs = { 2 } })
  t.fails(function() line:fit { x = XOR_X, y = XOR_Y, loss = "mse", optimizer = nn.sgd { lr = 1e30 } } end, "net:fit: the loss is not finite in epoch 2",
    "is the learning rate too high?")
end)

t.test("threads change no bit of a fit, and patience ends it with the best weights", function()
  local x = T.randn({ 900, 8 }, T.rng(1))
  local y = (x:slice(2, 1, 1) * x:slice(2, 2, 2)):gt(0):to "f32"
  local function fitted(options)
    local net = nn.build(nn.sequential { nn.dense(32, "relu"), nn.dropout(0.2), nn.dense(1, "sigmoid") }, { inputs = { 8 }, seed = 1 })
    local all = { x = x, y = y, loss = "bce", optimizer = nn.adam { lr = 0.03 }, epochs = 4, batch = 300, validation = 0.2 }
    for key, value in pairs(options) do all[key] = value end
    return net:fit(all), net
  end
  local one, net = fitted {}
  for threads = 2, 4 do
    local many, other = fitted { threads = threads }
    t.equal(many, one)
    for name, tensor in pairs(net:state()) do same(other:state()[name], tensor) end
  end
  t.equal(one.best_epoch, 4)
  local long, best = fitted { epochs = 300, batch = 32, patience = 3 }
  t.equal(#long.train_loss, long.best_epoch + 3)
  assert(long.best_epoch < 290 and math.min(table.unpack(long.validation_loss)) == long.validation_loss[long.best_epoch])
  local _, again = fitted { epochs = long.best_epoch, batch = 32 }
  for name, tensor in pairs(best:state()) do same(again:state()[name], tensor) end
end)

t.test("classes and several outputs have their losses", function()
  local x = T.randn({ 120, 2 }, T.rng(3))
  local classes = x:argmax(2)
  local net = nn.build(nn.sequential { nn.dense(2) }, { inputs = { 2 } })
  net:fit { x = x, y = classes, loss = "cross_entropy", epochs = 60, batch = 16, optimizer = nn.adam { lr = 0.05 } }
  assert(net:predict(x):argmax(2):eq(classes):to("f32"):mean() > 0.95)
  local two = nn.build(nn.dense(2), { inputs = { 2 } })
  local r = two:fit { x = x, y = x * 2, loss = "mse", epochs = 60, batch = 16, optimizer = nn.adam { lr = 0.05 } }
  assert(r.train_loss[60] < 1e-3)
end)

t.test("fit says what does not fit", function()
  local net = mlp()
  for _, case in ipairs {
    { { y = false }, "net:fit: 'y' is missing" },
    { { y = T { 0, 1, 1, 1 / 0 } }, "net:fit: number 1 of row 4 of y is not finite" },
    { { threads = 65 }, "threads are at most 64, not 65" },
    { { threads = -1 }, "threads" },
    { { patience = 2 }, "there are no rows to validate on" },
    { { y = T { 1, 2 } }, "net:fit: y is [2], but x has 4 rows" },
    { { y = T.ones { 4, 2 } }, "the model answers [n, 1], the target has 2 numbers a row" },
    { { x = T.ones { 4, 3 } }, "net:fit: input 'x' is [n, 2], got [4, 3]" },
    { { loss = "bse" }, "there is no loss 'bse'; did you mean 'bce'?" },
    { { loss = false }, "'loss' must be bce" },
    { { batch = 0 }, "epochs and batch are at least 1" },
    { { validation = 1 }, "validation is a share of the rows from 0 to below 1, not 1" },
    { { epoch = 3 }, "unknown option 'epoch'; did you mean 'epochs'?" },
    { { on_epoch = 1 }, "'on_epoch' must be a function, got number" },
    { { on_epoch = function() error "enough" end }, "enough" },
    { { loss = "cross_entropy", y = { 1, 2, 3, 4 } }, "class 2 of row 2, but there are 1" },
    { { x = T.full({ 4, 2 }, 0 / 0) }, "net:fit: number 1 of row 1 of x is not finite" },
  } do
    local fine, message = pcall(function()
      local options = { x = XOR_X, y = XOR_Y, loss = "bce", epochs = 1 }
      for key, value in pairs(case[1]) do options[key] = value or nil end
      net:fit(options)
    end)
    assert(not fine and message:find("^test_nn_modules.lua:%d+: ") and message:find(case[2], 1, true), tostring(message) .. "\n  wanted " .. case[2])
  end
end)

local function wide(layers, width)
  return nn.build(nn.sequential(layers), { inputs = { width or 3 }, seed = 1 })
end
--- What the net answers layer by layer.
local function on_tape(net, x) return net(m.grad { training = false }, x):value() end
local function near(a, b)
  local worst = (a - b):abs():max()
  assert(worst < 1e-5, worst)
end

t.test("predict is what the tape says, whoever wrote to the weights last", function()
  local net = wide { nn.dense(8, "relu"), nn.batch_norm(), nn.dropout(0.5), nn.dense(4), nn.batch_norm(), nn.activation "tanh", nn.dense(2) }
  local x = T.randn({ 70, 3 }, T.rng(1))
  local p, opt = net:params(), nn.make_optimizer(nn.adam { lr = 0.1 }, net:params())
  local other = wide({ nn.dense(8, "relu"), nn.batch_norm(), nn.dropout(0.5), nn.dense(4), nn.batch_norm(), nn.activation "tanh", nn.dense(2) })
  local weight, state = p[1]:value(), other:state()
  local view = weight:transpose():slice(1, 2, 5)
  local writers = {
    step = function()
      local g = m.grad { seed = 1 }
      g:backward((net(g, x) ^ 2):mean())
      opt:step()
    end,
    statistics = function() net(m.grad(), x + 5) end,
    fit = function() net:fit { x = x, y = x:slice(2, 1, 2), loss = "mse", epochs = 1 } end,
    load = function() net:load(state) end,
    set = function() p[2]:set(0.5) end,
    add = function() weight:add_(1) end,
    exp = function() p[2]:value():exp_() end,
    row = function() weight[2] = T { 1, 2, 3, 4, 5, 6, 7, 8 } end,
    element = function() weight[1][3] = 7 end,
    copy = function() weight:copy(T.full({ 3, 8 }, 0.1)) end,
    scatter = function() weight:scatter_add({ 1, 1 }, T.ones { 2, 8 }) end,
    view = function() view:mul_(2) end,
    on_its_own = function() m.grad():constant(x):batch_norm(T.ones { 3 }, T.zeros { 3 }, p[2]:value():slice(1, 1, 3), p[2]:value():slice(1, 4, 6)) end,
  }
  near(net:predict(x), on_tape(net, x))
  local names = {} -- in one order: what is written first decides what the next one changes
  for name in pairs(writers) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local before = net:predict(x)
    same(net:predict(x), before)
    writers[name]()
    assert((net:predict(x) - before):abs():max() > 0, name)
    near(net:predict(x), on_tape(net, x))
    same(net:predict { x = x }, net:predict(x))
    same(net:predict(x:to "f64"), net:predict(x))
    same(net:predict(x:slice(1, 3, 3)), net:predict(x):slice(1, 3, 3))
  end
end)

t.test("nets that do not compile predict as well, and say what does not", function()
  local gru = nn.build(nn.sequential { nn.gru(4), nn.pool "last", nn.dense(1) }, { inputs = { 5, 2 }, seed = 1 })
  local x = T.randn({ 9, 5, 2 }, T.rng(1))
  near(gru:predict(x), on_tape(gru, x))
  for _, case in ipairs {
    { nn.gru(4), { 5, 2 }, "gru: does not compile: only dense, activation, batch_norm and dropout do" },
    { nn.sequential { nn.dense(2), nn.dense(4, "gelu") }, { 2 }, "dense: does not compile: of the activations only linear, relu, sigmoid and tanh do" },
    { nn.dense(4), { 5, 2 }, "dense: does not compile: it works on more than rows of numbers" },
    { nn.sequential { nn.dense(2, "relu"), nn.batch_norm() }, { 2 }, "it ends with a batch_norm behind an activation" },
    { nn.batch_norm(), { 2 }, "there is no dense layer in it" },
  } do
    local net = nn.build(case[1], { inputs = case[2] })
    t.fails(function() net:compile() end, "net:compile: test_nn_modules.lua:", case[3])
  end
  local wide_numbers = nn.build(nn.dense(1), { inputs = { 2 }, dtype = "f64" })
  t.fails(function() wide_numbers:compile() end, "its numbers are f64, and only f32 do")
  t.equal(wide_numbers:predict(T.ones { 1, 2 }):dtype(), "f64")
end)

t.test("a plan is of the weights as they were, in f32, bf16 and int8", function()
  local net = wide({ nn.dense(64, "relu"), nn.batch_norm(), nn.dense(32, "relu"), nn.dense(1, "sigmoid") }, 64)
  local x = T.randn({ 100, 64 }, T.rng(1))
  local full, bytes = net:compile(), {}
  local want = full:predict(x)
  same(want, net:predict(x))
  t.equal({ full:precision(), full:difference() }, { "f32" })
  for _, precision in ipairs { "f32", "bf16", "int8" } do
    local plan = net:compile { precision = precision, calibrate = x }
    local most, mean = plan:difference()
    local apart = (plan:predict(x) - want):abs()
    assert(math.abs(apart:max() - most) < 1e-7 and math.abs(apart:mean() - mean) < 1e-6)
    assert(most < (precision == "f32" and 1e-9 or 0.02), most)
    bytes[#bytes + 1] = plan:bytes()
    t.equal(tostring(plan), ("plan %s, 64 -> 1, %d bytes"):format(precision, plan:bytes()))
  end
  assert(bytes[1] == full:bytes() and bytes[2] < 0.55 * bytes[1] and bytes[3] < 0.35 * bytes[1], t.show(bytes))
  net:params()[1]:set(0)
  same(full:predict(x), want)
  assert((net:predict(x) - want):abs():max() > 0)
  net = nil -- luacheck: ignore
  collectgarbage()
  same(full:predict(x), want)
end)

t.test("predict into a tensor allocates nothing", function()
  local net = wide({ nn.dense(64, "relu"), nn.dense(32, "relu"), nn.dense(1) }, 64)
  local x, plan = T.randn({ 100, 64 }, T.rng(1)), net:compile { precision = "int8" }
  local out, want = T.zeros { 100, 1 }, plan:predict(x)
  local function run()
    for _ = 1, 200 do plan:predict(x, out) end
  end
  run()
  collectgarbage()
  collectgarbage "stop"
  local heap, tensors = collectgarbage "count", T.memory()
  run()
  local grown = collectgarbage "count" - heap
  collectgarbage "restart"
  t.equal({ grown, T.memory() == tensors }, { 0.0, true })
  same(out, want)
  assert(rawequal(plan:predict(x, out), out))
  local one = T.memory()
  local y = plan:predict(x)
  t.equal({ T.memory() - one, #y }, { 256 + 448, 100 }) -- its handle, and 400 bytes in whole lines
end)

t.test("a plan says what it does not take", function()
  local plan = wide({ nn.dense(2) }):compile()
  local net, x = wide({ nn.dense(2) }), T.ones { 4, 3 }
  t.fails(function() plan:predict(T.ones { 4, 2 }) end, "plan:predict: x is [n, 3], got [4, 2]")
  t.fails(function() plan:predict(1) end, "plan:predict")
  t.fails(function() plan:predict(x, T.ones { 4, 1 }) end, "out is a contiguous f32 tensor [4, 2], got f32 [4, 1]")
  t.fails(function() plan:predict(x, T.ones({ 4, 2 }, "f64")) end, "out is a contiguous f32 tensor [4, 2], got f64 [4, 2]")
  t.fails(function() plan:predict(x, x:slice(2, 1, 2)) end, "out is a contiguous f32 tensor")
  local both = T.ones { 20 }
  t.fails(function() plan:predict(both:slice(1, 1, 12):reshape(4, 3), both:slice(1, 12, 19):reshape(4, 2)) end, "memory in common")
  t.fails(function() plan.predict(x) end, "plan:predict: a plan (net:compile) is wanted first")
  t.fails(function() plan:byte() end, "there is no method of a plan 'byte'; did you mean 'bytes'?")
  t.fails(function() net:compile { precision = "int7" } end, 'there is no precision "int7"; did you mean "int8"?')
  t.fails(function() net:compile { precision = 8 } end, "'precision' must be f32, bf16 or int8, got number")
  t.fails(function() net:compile { calibrate = T.ones { 2 } } end, "net:compile: input 'x' is [n, 3], got [2]")
  t.fails(function() net:compile { calibration = x } end, "unknown option 'calibration'; did you mean 'calibrate'?")
  net:params()[1]:set(0 / 0)
  t.fails(function() net:compile { precision = "int8" } end, "net:compile: quantise: layer 0 has a weight that is not finite")
end)

t.test("a net draws itself", function()
  local text = tostring(mlp())
  assert(text:find "dense" and text:find "%[n, 8%]" and text:find "33 parameters, 33 of them trained")
  t.equal(mlp():summary(), text)
  assert(tostring(mlp():freeze()):find "33 parameters, 0 of them trained")
end)

t.test("a frozen net's batch_norm keeps its statistics, on a tape and in fit", function()
  local net = nn.build(nn.sequential { nn.dense(3), nn.batch_norm(), nn.dense(1) }, { inputs = { 2 }, seed = 1 })
  local x = T.randn({ 20, 2 }, T.rng(1)) + 3
  local function moved(how)
    local before = net:state()["1.mean"]
    how()
    return (net:state()["1.mean"] - before):abs():max() > 0
  end
  local function call() net(m.grad(), x) end
  local function fit() net:fit { x = x, y = x:sum(2), loss = "mse", epochs = 1 } end
  t.equal({ moved(call), moved(fit) }, { true, true })
  net:freeze()
  local state = net:state()
  t.equal({ moved(call), moved(fit) }, { false, false })
  for name, tensor in pairs(state) do same(tensor, net:state()[name]) end
  net:freeze(false)
  t.equal({ moved(call), moved(fit) }, { true, true })
end)

t.test("state goes out and comes back, and files too", function()
  local a, b = mlp(1), mlp(2)
  assert((a:predict(XOR_X) - b:predict(XOR_X)):abs():max() > 1e-3)
  b:load(a:state())
  same(a:predict(XOR_X), b:predict(XOR_X))
  local path = os.tmpname()
  a:save(path)
  local c = mlp(3):load(path)
  os.remove(path)
  same(a:predict(XOR_X), c:predict(XOR_X))
  local before, state = b:predict(XOR_X), a:state()
  state["0.weight"] = T.ones { 3, 3 }
  t.fails(function() b:load(state) end, "net:load: '0.weight' is [3, 3], the net's [2, 8]")
  state["0.weight"] = nil
  t.fails(function() b:load(state) end, "net:load: '0.weight' is missing")
  state = a:state()
  state.more, state.less = T { 1 }, T { 2 }
  t.fails(function() b:load(state) end, "net:load: the net has no 'less'")
  same(before, b:predict(XOR_X))
end)

t.test("a loop that was broken off goes on as if it had not been, to the bit", function()
  local x = T.randn({ 64, 3 }, T.rng(1))
  local y = x:sum(2, true)
  local function new(spec)
    local net = nn.build(nn.sequential { nn.dense(8, "tanh"), nn.batch_norm(), nn.dropout(0.2), nn.dense(1) }, { inputs = { 3 }, seed = 1 })
    return net, nn.make_optimizer(spec, net:params(), 60)
  end
  local function train(net, opt, first, last)
    for step = first, last do
      local g, rows = m.grad { seed = step }, T.randint({ 16 }, 1, 64, T.rng(step)) -- all that is random follows from the step
      g:backward(g:mse(net(g, x:take(rows)), y:take(rows)))
      opt:step()
    end
  end
  local weights, state = os.tmpname(), os.tmpname()
  for _, spec in ipairs { nn.adam { lr = 0.01, schedule = nn.schedule "cosine" }, nn.adamw {}, nn.sgd { momentum = 0.9 }, nn.adagrad {}, nn.ftrl {} } do
    local whole, opt = new(spec)
    train(whole, opt, 1, 60)
    local half, before = new(spec)
    train(half, before, 1, 30)
    half:save(weights)
    before:save(state)
    local rest, after = new(spec)
    rest:load(weights)
    t.equal(after:load(state):steps(), 30)
    train(rest, after, 31, 60)
    for name, tensor in pairs(whole:state()) do t.equal(rest:state()[name]:to_table(), tensor:to_table(), name) end
    t.equal({ after:steps(), after:lr() }, { opt:steps(), opt:lr() })
  end
  os.remove(weights)
  os.remove(state)
end)

t.test("an optimiser refuses the state of another, and keeps its own", function()
  local path, kept = os.tmpname(), os.tmpname()
  local function opt(spec, ...)
    local params = {}
    for i, name in ipairs { ... } do params[i] = nn.param(T.ones { 2 }, { name = name }) end
    local made, g = nn.make_optimizer(spec, params), m.grad()
    for _, p in ipairs(params) do g:backward(g:leaf(p):sum()) end
    return made:step()
  end
  local function text(file)
    local open = assert(io.open(file, "rb"))
    local bytes = open:read "a"
    open:close()
    return bytes
  end
  local mine = opt(nn.adam {}, "w")
  mine:save(kept)
  local function refused(other, ...)
    other:save(path)
    t.fails(function() mine:load(path) end, "optimizer:load: ", ...)
    mine:save(path)
    t.equal(text(path) == text(kept), true)
  end
  refused(opt(nn.adam {}, "v"), 'there is no tensor "w/m"')
  refused(opt(nn.adam {}, "w", "v"), 'the state holds "v/m"')
  refused(opt(nn.adamw {}, "w"), "the state is of the optimizer adamw, and this is adam")
  refused(nn.make_optimizer(nn.adam {}, { nn.param({ 3 }, { name = "w" }) }), 'tensor "w/m" is F32 [3] in the file, but F32 [2] is needed')
  T.save(path, T { 1 })
  t.fails(function() mine:load(path) end, "optimizer:load: safetensors: ")
  t.fails(function() mine:load(5) end, "optimizer:load: a path is wanted, got number")
  t.fails(function() opt(nn.adam {}, "w", "w"):save(path) end, 'two tensors are called "w/m"')
  local plain = opt(nn.sgd {}, "w")
  opt(nn.sgd { momentum = 0.5 }, "w"):save(path)
  t.fails(function() plain:load(path) end, 'the state holds "w/velocity"')
  os.remove(path)
  os.remove(kept)
end)

t.test("named inputs of numbers and ids meet in one net", function()
  local net = nn.build(nn.sequential {
    nn.parallel { nn.dense(4, "relu"), nn.embedding(3, { input = "item" }),
      nn.sequential { nn.embedding(3, { input = "history" }), nn.attention { heads = 1 }, nn.pool "mean" } },
    nn.dense(1),
  }, { inputs = { x = { 2 }, item = { ids = 10 }, history = { ids = 10, 4 } } })
  local x, item, history = T.randn({ 3, 2 }, T.rng(1)), T({ 1, 5, 10 }, "i64"), T.randint({ 3, 4 }, 1, 10, T.rng(2))
  local y = net:predict { x = x, item = item, history = { history, lengths = T({ 4, 2, 1 }, "i64") } }
  t.equal(y:shape(), { 3, 1 })
  local g = m.grad()
  same(net:train(false)(g, { x = x, item = item, history = { history, lengths = { 4, 2, 1 } } }):value(), y)
  t.equal(g:constant(x):tape() == g, true)
  t.fails(function() net:predict { x = x, item = item } end, "net:predict: input 'history' (ids [n, 4]) is missing")
  t.fails(function() net:predict { x = x, itm = item, history = history } end, "the net has no input 'itm'; did you mean 'item'?")
  t.fails(function() net:predict { x = x, item = T({ 1, 2, 11 }, "i64"), history = history } end, "input 'item' has position 11, of at most 10")
  t.fails(function() net:predict { x = x, item = T({ 1, 2 }, "i64"), history = history } end, "input 'item' has 2 rows, another 3")
  local r = net:fit { x = { x = x, item = item, history = history }, y = T { 1, 2, 3 }, loss = "mse", epochs = 200, optimizer = nn.adam { lr = 0.05 } }
  assert(r.train_loss[200] < 0.01)
end)

t.test("a net that does not fit says so at the line of the layer", function()
  t.fails(function() nn.build(nn.sequential { nn.gru(4) }, { inputs = { 2 } }) end, "gru")
  t.fails(function() nn.build(nn.dense(1), {}) end, "m.nn.build: 'inputs' is missing")
  t.fails(function() nn.build(nn.dense(1), { inputs = { y = { 1 } } }) end, "the first input is called 'x'")
  t.fails(function() nn.build({}, { inputs = { 1 } }) end, "m.nn.build must be given a model")
  t.fails(function() nn.build(nn.dense(1), { inputs = { 1 }, sed = 1 }) end, "unknown option 'sed'; did you mean 'seed'?")
  local net = mlp()
  t.fails(function() net(m.grad(), T.ones { 1, 3 }) end, "net: input 'x' is [n, 2], got [1, 3]")
  t.fails(function() net:predct(XOR_X) end, "there is no method of a net 'predct'; did you mean 'predict'?")
end)

t.test("layers that drop and follow batches do so only in training", function()
  local net = nn.build(nn.sequential { nn.batch_norm(), nn.dropout(0.5), nn.dense(1) }, { inputs = { 4 } })
  local x = T.randn({ 33, 4 }, T.rng(1))
  same(net:predict(x), net:predict(x))
  local g = m.grad()
  local a, b = net(g, x):value(), net(g, x):value()
  assert((a - b):abs():max() > 1e-3)
  net:train(false)
  same(net(g, x):value(), net(g, x):value())
  net:fit { x = x, y = x:sum(2), loss = "mse", batch = 8, epochs = 2 } -- one row is left over
end)

--- An optimiser over a net that nothing else holds.
local function orphan(before)
  local net = nn.build(nn.sequential { nn.dense(256), nn.dense(256) }, { inputs = { 256 } })
  assert(T.memory() > before + 4 * 2 * 2 * 256 * 256)
  return nn.make_optimizer(nn.adam {}, net:params())
end

t.test("nets, parameters and optimisers go in any order", function()
  collectgarbage()
  collectgarbage() -- what the tests before left
  local before = T.memory()
  local opt = orphan(before)
  collectgarbage()
  collectgarbage()
  t.equal(opt:step():steps(), 1)
  opt = nil -- luacheck: ignore
  collectgarbage()
  collectgarbage()
  assert(T.memory() < before + (1 << 16))
  T.limit(T.memory() + (1 << 20))
  t.fails(function() nn.build(nn.dense(4096), { inputs = { 4096 } }) end, "4096")
  t.fails(function() nn.param { 4096, 4096 } end, "no memory")
  T.limit(0)
end)

t.test("the example of a model runs", function()
  local file = (os.getenv "MOON_SOURCE_DIR" or "../..") .. "/examples/models/mlp.lua"
  local lines = {}
  local chunk = assert(loadfile(file, "t", setmetatable({ print = function(...) lines[#lines + 1] = tostring((...)) end }, { __index = _G })))
  chunk()
  assert(lines[1]:find "^layer" and lines[#lines]:find "^accuracy by hand 0.9")
end)

t.done()
