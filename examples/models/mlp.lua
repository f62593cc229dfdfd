--- mlp.lua - a model written and trained in Lua: `lua5.4 examples/models/mlp.lua`, with moonshelf.so on LUA_CPATH.
---
--- Points in a plane, inside or outside of a ring. First the short way, a net of layers and net:fit; then the long way,
--- parameters and a
--- loop of one's own on the same tape.

local m = require "moonshelf"
local T = m.tensor

--- n points and whether each lies in the ring.
local function points(n, seed)
  local x = T.randn({ n, 2 }, T.rng(seed))
  local distance = (x * x):sum(2)
  return x, (distance:gt(0.4) * distance:lt(2.5)):to "f32"
end

local function accuracy(probability, y) return probability:gt(0.5):to("f32"):eq(y):to("f32"):mean() end

local x, y = points(2000, 1)
local test_x, test_y = points(1000, 2)

---------------------------------------------------------------------------------------------------- with layers

local model = m.nn.sequential { m.nn.dense(16, "tanh"), m.nn.dense(16, "tanh"), m.nn.dense(1, "sigmoid") }
local net = m.nn.build(model, { inputs = { 2 }, seed = 1 })
print(net)
net:fit { x = x, y = y, loss = "bce", optimizer = m.nn.adam { lr = 0.02 }, epochs = 20, batch = 64, validation = 0.1,
  on_epoch = function(e)
    if e.epoch % 5 == 0 then print(("epoch %2d  loss %.4f  validation %.4f"):format(e.epoch, e.train_loss, e.validation_loss)) end
  end }
local with_layers = accuracy(net:predict(test_x):reshape(-1), test_y)
print(("accuracy with layers %.3f"):format(with_layers))

---------------------------------------------------------------------------------------------------- by hand

local w1, b1 = m.nn.param({ 2, 32 }, { seed = 1 }), m.nn.param { 32 }
local w2, b2 = m.nn.param({ 32, 1 }, { seed = 2 }), m.nn.param { 1 }
local opt = m.nn.make_optimizer(m.nn.adam { lr = 0.05 }, { w1, b1, w2, b2 })
local g = m.grad()

--- The logit of each row: x is a tensor or a var.
local function logits(rows) return ((g:constant(rows):matmul(w1) + b1):tanh():matmul(w2) + b2):reshape(-1) end

for step = 1, 600 do
  local rows = T.randint({ 128 }, 1, #x, T.rng(step))
  g:reset()
  local loss = g:bce_logits(logits(x:take(rows)), y:take(rows))
  g:backward(loss)
  opt:step()
  if step % 200 == 0 then print(("step %3d  loss %.4f"):format(step, loss:item())) end
end
g:reset()
local by_hand = accuracy(logits(test_x):sigmoid():value(), test_y)
print(("accuracy by hand %.3f"):format(by_hand))
assert(with_layers > 0.9 and by_hand > 0.9)
