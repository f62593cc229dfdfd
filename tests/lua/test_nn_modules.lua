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
    { { x = T.full({ 4, 2 }, 0 / 0) }, "the loss is not finite in epoch 1" },
  } do
    local fine, message = pcall(function()
      local options = { x = XOR_X, y = XOR_Y, loss = "bce", epochs = 1 }
      for key, value in pairs(case[1]) do options[key] = value or nil end
      net:fit(options)
    end)
    assert(not fine and message:find("^test_nn_modules.lua:%d+: ") and message:find(case[2], 1, true), tostring(message) .. "\n  wanted " .. case[2])
  end
end)

t.test("a net draws itself", function()
  local text = tostring(mlp())
  assert(text:find "dense" and text:find "%[n, 8%]" and text:find "33 parameters, 33 of them trained")
  t.equal(mlp():summary(), text)
  assert(tostring(mlp():freeze()):find "33 parameters, 0 of them trained")
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
  state.more = T { 1 }
  t.fails(function() b:load(state) end, "net:load: 5 tensors for a net of 4")
  same(before, b:predict(XOR_X))
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
  collectgarbage() -- what earlier tests left must not go in the middle of this one
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
