-- m.grad: the tape in Lua. What ops compute and their gradients are tested in C; here is what Lua adds: arguments, positions from 1, errors,
-- functions that are called back, and that whatever is kept or thrown away does no harm.
local t = require "harness"
local m = require "moonshelf"

local T, nn = m.tensor, m.nn

local function close(a, b, tolerance)
  local worst = (a - b):abs():max()
  if worst ~= worst or worst > (tolerance or 1e-5) then error(("%s\nagainst %s: %g apart"):format(tostring(a), tostring(b), worst), 2) end
end

--- The gradient of fn(g, p) in p, by the tape.
local function gradient(fn, p)
  local g = m.grad()
  p:zero()
  g:backward(fn(g, p))
  return p:grad():clone()
end

--- And by differences.
local function difference(fn, p, epsilon)
  local out, flat = T.zeros({ p:value():count() }, "f64"), p:value():reshape(-1)
  local function loss()
    local g = m.grad()
    return g:no_grad(function() return fn(g, p):item() end)
  end
  for i = 1, #flat do
    local before = flat[i]
    flat[i] = before + epsilon
    local up = loss()
    flat[i] = before - epsilon
    out[i] = (up - loss()) / (2 * epsilon)
    flat[i] = before
  end
  return out:reshape(p:shape())
end

local function f64(shape, seed) return nn.param(T.randn(shape, "f64", T.rng(seed))) end

---------------------------------------------------------------------------------------------------- vars

t.test("a var has a value, a shape and a gradient", function()
  local g = m.grad { keep_grads = true }
  local w = nn.param(T { { 1, 2 }, { 3, 4 } })
  local x = g:constant(T { { 1, 1 } })
  local y = x:matmul(w)
  t.equal({ y:shape(), y:dims(), y:count(), y:dtype(), tostring(y) }, { { 1, 2 }, 2, 2, "f32", "var f32 [1, 2]" })
  t.equal(y:value():to_table(), { { 4.0, 6.0 } })
  local loss = (y * y):sum()
  t.equal(loss:item(), 52.0)
  t.equal(y:grad(), nil)
  g:backward(loss)
  t.equal(y:grad():to_table(), { { 8.0, 12.0 } })
  t.equal(w:grad():to_table(), { { 8.0, 12.0 }, { 8.0, 12.0 } })
  t.equal(x:grad(), nil)
  local forgetful = m.grad()
  local z = forgetful:leaf(w):sum()
  forgetful:backward(z)
  t.fails(function() z:grad() end, "grad: what flows through vars is not kept, unless by m.grad { keep_grads = true }")
  t.fails(function() y:item() end, "item: [1, 2] has 2 elements, not one")
  t.fails(function() g:backward(y) end, "backward: the loss has shape [1, 2], not one element")
end)

t.test("operators take vars, tensors, parameters and numbers on either side", function()
  local g = m.grad()
  local x, p = g:constant(T { 1, 2 }), nn.param(T { 3, 4 })
  local function is(v, want) t.equal(v:value():to_table(), want) end
  is(x + 1, { 2.0, 3.0 })
  is(1 - x, { 0.0, -1.0 })
  is(x * T { 10, 20 }, { 10.0, 40.0 })
  is(T { 10, 20 } * x, { 10.0, 40.0 })
  is(T { 10, 20 } / x, { 10.0, 10.0 })
  is(T({ 10, 20 }, "i64") - x, { 9.0, 18.0 })
  is(p + x, { 4.0, 6.0 })
  is(x + p, { 4.0, 6.0 })
  is(-x ^ 2, { -1.0, -4.0 })
  is(x:maximum(1.5):minimum(p), { 1.5, 2.0 })
  t.equal((g:constant(T({ 1 }, "f64")) + T { 1 }):dtype(), "f64")
  t.fails(function() return x + "1" end, "add: a var, a tensor, a parameter or a number is wanted, got string")
  t.fails(function() return x + T { 1, 2, 3 } end, "add: [2] against [3]")
end)

t.test("dimensions and positions count from 1", function()
  local g = m.grad()
  local x = g:constant(T { { 1, 2, 3 }, { 4, 5, 6 } })
  local function is(v, want) t.equal(v:value():to_table(), want) end
  is(x:sum(1), { 5.0, 7.0, 9.0 })
  is(x:sum(-1, true), { { 6.0 }, { 15.0 } })
  is(x:mean(2), { 2.0, 5.0 })
  is(x:max(2), { 3.0, 6.0 })
  is(x:slice(2, 2, 3), { { 2.0, 3.0 }, { 5.0, 6.0 } })
  is(x:take { 2, 1, 2 }, { { 4.0, 5.0, 6.0 }, { 1.0, 2.0, 3.0 }, { 4.0, 5.0, 6.0 } })
  is(x:transpose(), { { 1.0, 4.0 }, { 2.0, 5.0 }, { 3.0, 6.0 } })
  is(x:permute(2, 1), { { 1.0, 4.0 }, { 2.0, 5.0 }, { 3.0, 6.0 } })
  is(x:reshape(3, -1), { { 1.0, 2.0 }, { 3.0, 4.0 }, { 5.0, 6.0 } })
  is(x:reshape { 6 }, { 1.0, 2.0, 3.0, 4.0, 5.0, 6.0 })
  is(x:pad({ 0, 1 }, { 0, 0 }), { { 0.0, 1.0, 2.0, 3.0 }, { 0.0, 4.0, 5.0, 6.0 } })
  is(g:concat { x:slice(2, 1, 1), x:slice(2, 3, 3) }, { { 1.0, 3.0 }, { 4.0, 6.0 } })
  t.equal(g:stack({ x, x, x }, 2):shape(), { 2, 3, 3 })
  t.equal(g:constant(T { 1, 2 }):expand(3, 2):shape(), { 3, 2 })
  is(g:where(T { { true, false, true } }, x, 0), { { 1.0, 0.0, 3.0 }, { 4.0, 0.0, 6.0 } })
  is(x:masked_fill(T { { 1, 2, 3 }, { 4, 5, 6 } }:gt(4), -1), { { 1.0, 2.0, 3.0 }, { 4.0, -1.0, -1.0 } })
  t.fails(function() x:sum(3) end, "sum: there is no dimension 3; the tensor has 2")
  t.fails(function() x:take { 0 } end, "take: positions count from 1, got 0")
  t.fails(function() x:take { 3 } end, "take: position 3 is out of range: the rows are those of [2, 3]")
  t.fails(function() x:max() end, "max: a dimension is wanted")
  t.fails(function() x:slice(2, 2, 4) end, "slice: 2 to 4 is outside dimension 2 of [2, 3]")
  t.fails(function() g:where(T { 1, 2 }, x, 0) end, "where: a mask is a u8 tensor, not f32")
end)

t.test("gradients are those of differences", function()
  local x, b = T.randn({ 3, 4 }, "f64", T.rng(1)), T.randn({ 5 }, "f64", T.rng(2))
  local classes = T({ 1, 5, 2 }, "i64")
  local cases = {
    dense = function(g, w) return g:constant(x):dense(w, b, "tanh"):sum() end,
    norm = function(g, w) return (g:constant(x):matmul(w):layer_norm(T.ones({ 5 }, "f64"), b) ^ 3):mean() end,
    classes = function(g, w) return g:cross_entropy(g:constant(x):matmul(w), classes) end,
    weighted = function(g, w) return g:bce_logits(g:constant(x):matmul(w):sum(2), T { 1, 0, 1 }, { weights = T { 1, 2, 3 }, positive_weight = 2 }) end,
    mixed = function(g, w) return (g:constant(x):matmul(w):softplus():softmax():clip(0.05, 1):log():gelu() - 1):leaky_relu(0.1):sum() end,
    pairs = function(g, w)
      local query, key = g:constant(x):matmul(w), (g:constant(x) + 1):matmul(w)
      return g:info_nce(query, key, { temperature = 0.5, ids = { 1, 2, 1 } })
    end,
    rows = function(g, w)
      local mean = g:gather_mean(w, T({ { 2, 3 }, { 3, 1 } }, "i64"))
      return (g:gather(w, T({ { 1, 2 }, { 4, 1 } }, "i64")) * mean:reshape(2, 1, 5)):sum()
    end,
    bags = function(g, w) return (g:embedding_bag(w, { 2, 3, 4 }, { 1, 2 }, { mode = "sum", weights = T { 1, 2, 3 } }) ^ 2):sum() end,
    dropped = function(g, w) return g:constant(x):matmul(w):dropout(0.5):sum() end,
  }
  for name, fn in pairs(cases) do
    local w = f64({ 4, 5 }, 3)
    local worst = (gradient(fn, w) - difference(fn, w, 1e-6)):abs():max()
    assert(worst < 1e-6, ("%s: %g apart"):format(name, worst))
  end
end)

t.test("attention keeps its shape and hides what is to be hidden", function()
  local g = m.grad()
  local q = g:constant(T.randn({ 2, 3, 4, 8 }, T.rng(1)))
  t.equal(q:attention(q, q):shape(), { 2, 3, 4, 8 })
  local first = q:slice(3, 1, 1)
  close(q:attention(q, q, { causal = true }):slice(3, 1, 1):value(), first:value())
  close(q:attention(q, q, { lengths = { 1, 1 } }):slice(3, 4, 4):value(), first:value())
  local mask = T { { true, false, false, false }, { true, false, false, false } }
  close(q:attention(q, q, { mask = mask }):slice(3, 4, 4):value(), first:value())
  local rows = q:transpose(2, 3):reshape { 2, 4, 24 }
  local apart = q:attention(q, q, { causal = true, lengths = { 4, 2 } }):transpose(2, 3):reshape { 2, 4, 24 }
  t.equal(rows:attention(rows, rows, { heads = 3, causal = true, lengths = { 4, 2 } }):value():to_table(), apart:value():to_table())
  t.fails(function() rows:attention(rows, rows, { heads = 5 }) end, "attention: 5 heads cannot share out [2, 4, 24]")
  t.fails(function() rows:attention(rows, rows, { heads = 0 }) end, "attention: at least one head is needed")
  t.fails(function() q:attention(q, q, { lengths = { 1 } }) end, "attention: 1 lengths for 2 rows")
  t.fails(function() q:attention(q, q, { mask = T { true } }) end, "the mask is [b, keys], not [1]")
  t.fails(function() q:attention(q, q, { casual = true }) end, "unknown option 'casual'; did you mean 'causal'?")
end)

---------------------------------------------------------------------------------------------------- settings

t.test("gradients gather over backwards until they are zeroed", function()
  local g, p = m.grad(), nn.param(T { 2 })
  local loss = (g:leaf(p) * 3):sum()
  g:backward(loss)
  g:backward(loss)
  t.equal(p:grad():item(), 6.0)
  p:zero()
  t.equal(p:grad():item(), 0.0)
  p:freeze()
  g:reset()
  g:backward((g:leaf(p) * 3):sum())
  t.equal(p:grad():item(), 0.0)
end)

t.test("no_grad keeps nothing for a way back", function()
  local g, p = m.grad(), nn.param(T { 2 })
  local loss = g:no_grad(function(x) return (x * 3):sum() end, g:leaf(p))
  g:backward(loss)
  t.equal(p:grad():item(), 0.0)
  t.fails(function() g:no_grad(function() error "inside" end) end, "inside")
  g:backward((g:leaf(p) * 3):sum())
  t.equal(p:grad():item(), 3.0)
end)

t.test("checks name the op and the scopes around it", function()
  local g = m.grad { checks = true }
  t.fails(function() g:scope("tower", function() return g:constant(T { -1 }):log() end) end, "log: ", "tower")
  t.fails(function() g:scope("tower", function() return g:constant(T { 1 }):matmul(T { 1 }) end) end, "matmul: [1] against [1]", "in tower")
  t.equal(g:checks(false):constant(T { -1 }):log():item() ~= 0, true)
end)

t.test("dropout drops while the tape trains, the same for the same seed", function()
  local x = T.ones { 1000 }
  local function dropped(seed) return m.grad { seed = seed }:constant(x):dropout(0.5):value() end
  local half = dropped(1):sum()
  assert(half > 800 and half < 1200)
  close(dropped(1), dropped(1))
  assert((dropped(1) - dropped(2)):abs():sum() > 0)
  t.equal(m.grad { training = false }:constant(x):dropout(0.5):value():sum(), 1000.0)
end)

---------------------------------------------------------------------------------------------------- functions that are called

local x34, w45 = T.randn({ 3, 4 }, T.rng(1)), nn.param(T.randn({ 4, 5 }, T.rng(2)))

t.test("a checkpoint has the same value and gradients", function()
  local function plain(g) return (g:constant(x34):matmul(w45):tanh():dropout(0.3) ^ 2):mean() end
  local function saved(g)
    return (g:checkpoint(function(x) return x:matmul(w45):tanh():dropout(0.3) end, g:constant(x34)) ^ 2):mean()
  end
  local function nested(g)
    return (g:checkpoint(function(x)
      local once = x:matmul(w45)
      return once:tape():checkpoint(function(y) return y:tanh() end, once):dropout(0.3)
    end, g:constant(x34)) ^ 2):mean()
  end
  local want = gradient(plain, w45)
  close(gradient(saved, w45), want)
  close(gradient(nested, w45), want)
  w45:zero()
end)

t.test("a checkpoint's tape ends with it", function()
  local g, kept, tape = m.grad(), nil, nil
  local x = g:constant(x34)
  local y = g:checkpoint(function(inner)
    kept, tape = inner, inner:tape()
    return inner:matmul(w45)
  end, x)
  t.fails(function() kept:relu() end, "relu: this tape belonged to a checkpoint, which is over")
  t.fails(function() return tape:constant(1) end, "belonged to a checkpoint")
  t.equal(tostring(kept), "stale var")
  t.fails(function() g:checkpoint(function(a) return a + x end, x) end, "add: the tape is at work")
  t.fails(function() g:checkpoint(function() error "inside" end, x) end, "inside")
  t.fails(function() g:checkpoint(function() return 1 end, x) end, "the function answers a var, not a number")
  t.fails(function()
    local runs = 0
    local z = g:checkpoint(function(a)
      runs = runs + 1
      if runs == 2 then error "the second time" end
      return a:matmul(w45)
    end, x)
    g:backward(z:sum())
  end, "the second time")
  g:backward(y:sum()) -- the tape is as good as before
  w45:zero()
end)

t.test("an op of one's own equals a built-in one", function()
  local function builtin(g) return g:constant(x34):matmul(w45):tanh():sum() end
  local function own(g)
    return g:custom {
      name = "my_tanh", inputs = { g:constant(x34):matmul(w45) },
      forward = function(x) return x:tanh() end,
      backward = function(gradient_, x) return gradient_ * (1 - x:tanh() ^ 2) end,
    }:sum()
  end
  close(gradient(own, w45), gradient(builtin, w45))
  local function two(g)
    return g:custom {
      name = "times", inputs = { g:leaf(w45), T.full({ 4, 5 }, 3) },
      forward = function(a, b) return a * b end,
      backward = function(gradient_, _, b) return gradient_ * b end, -- nothing for b
    }:sum()
  end
  close(gradient(two, w45), T.full({ 4, 5 }, 3))
  local function inside(g)
    return g:checkpoint(function(x)
      return x:tape():custom { name = "twice", inputs = { x:matmul(w45) }, forward = function(a) return a * 2 end,
        backward = function(gradient_) return gradient_ * 2 end }
    end, g:constant(x34)):sum()
  end
  close(gradient(inside, w45), gradient(function(g) return (g:constant(x34):matmul(w45) * 2):sum() end, w45))
  w45:zero()
end)

t.test("errors of functions come back as they were", function()
  local g = m.grad()
  local function op(forward, backward) return { name = "mine", inputs = { g:leaf(w45) }, forward = forward, backward = backward } end
  t.fails(function() g:custom(op(function(x) return x:tahn() end)) end, "there is no tensor method 'tahn'; did you mean 'tanh'?")
  t.fails(function() g:custom(op(function() return 1 end)) end, "custom: forward answers a tensor, not a number")
  t.fails(function() g:custom(op(print, 5)) end, "custom: 'backward' must be a function, got number")
  t.fails(function() g:custom { name = "mine", inputs = {}, forward = print } end, "there are 1 to 8 inputs, not 0")
  t.fails(function()
    local y = g:custom(op(function(x) return x end, function() return T { 1, 2 } end))
    g:backward(y:sum())
  end, "backward: gradient 1 is [2], its input [4, 5]")
  t.fails(function()
    local y = g:custom(op(function(x) return x end, function() g:reset() end))
    g:backward(y:sum())
  end, "reset: the tape is at work")
  local thrown = {}
  local y = g:custom(op(function(x) return x end, function() error(thrown) end))
  local _, caught = pcall(g.backward, g, y:sum())
  assert(caught == thrown)
  g:reset()
  t.equal(g:constant(1):item(), 1.0)
  w45:zero()
end)

---------------------------------------------------------------------------------------------------- life

t.test("a stale var is an error, whatever is asked of it", function()
  local g, other = m.grad(), m.grad()
  local v = g:constant(T { 1, 2 })
  t.fails(function() return v + other:constant(1) end, "add: the vars are of two tapes")
  g:reset()
  local fresh = g:constant(T { 3, 4 })
  t.fails(function() v:value() end, "value: the var is stale: its tape was reset since")
  t.fails(function() return fresh + v end, "add: the var is stale")
  t.fails(function() v:shape() end, "stale")
  t.fails(function() g:backward(v) end, "stale")
  t.equal(tostring(v), "stale var")
  t.equal((fresh + fresh):value():to_table(), { 6.0, 8.0 })
end)

t.test("a tape keeps what it borrows, and a var its tape", function()
  local v
  do
    local g = m.grad()
    local p = nn.param(T.full({ 1000 }, 2))
    v = (g:leaf(p) * T.full({ 1000 }, 3)):sum()
  end
  collectgarbage()
  collectgarbage()
  t.equal(v:item(), 6000.0)
  v:tape():backward(v)
end)

t.test("what is unknown is named with what is near", function()
  local g = m.grad()
  local v = g:constant(T { 1 })
  t.fails(function() v:sigmiod() end, "there is no method of a var 'sigmiod'; did you mean 'sigmoid'?")
  t.fails(function() g:bce_logit() end, "there is no method of a tape 'bce_logit'; did you mean 'bce_logits'?")
  t.fails(function() m.grad { sed = 1 } end, "m.grad: unknown option 'sed'; did you mean 'seed'?")
  t.fails(function() v.relu(T { 1 }) end, "relu: a tape or a var is wanted first")
  t.fails(function() g.reset() end, "reset: a tape or a var is wanted first", "got no value")
end)

t.test("a steady step takes no more memory, and all of it is given back", function()
  local g = m.grad()
  local function step()
    g:reset()
    local x = g:constant(x34)
    for _ = 1, 20 do x = (x * 1.01 + 0.1):tanh() end
    g:backward(x:matmul(w45):sum())
    w45:zero()
  end
  step()
  local bytes = g:bytes()
  for _ = 1, 50 do step() end
  t.equal(g:bytes(), bytes)
  local before = T.memory()
  assert(before >= bytes / 2)
  g = nil
  collectgarbage()
  collectgarbage()
  assert(T.memory() < before)
end)

t.test("a tape stays within the limit of tensors", function()
  local used = T.memory()
  T.limit(used + (8 << 20))
  local g = m.grad()
  t.fails(function()
    local x = g:constant(T.ones { 1 << 18 })
    for _ = 1, 100 do x = x * 2 end
  end, "no memory for [262144]")
  g:reset()
  t.equal(g:constant(T { 1 }):item(), 1.0)
  T.limit(0)
end)

t.done()
