-- m.tensor: tensors in Lua. What they compute is tested in C; here is what Lua adds: arguments, positions from 1, errors, memory.
local t = require "harness"
local m = require "moonshelf"

local T = m.tensor
local MB = 1024 * 1024

local function has(tensor, dtype, nested)
  t.equal(tensor:dtype(), dtype, "dtype")
  t.equal(tensor:to_table(), nested)
end

---------------------------------------------------------------------------------------------------- making

t.test("nested tables become tensors and come back", function()
  local a = T { { 1, 2.5, 3 }, { 4, 5, 6 } }
  has(a, "f32", { { 1.0, 2.5, 3.0 }, { 4.0, 5.0, 6.0 } })
  t.equal({ a:shape(), a:dims(), #a, a:count(), a:size(2) }, { { 2, 3 }, 2, 2, 6, 3 })
  t.equal({ a:size() }, { 2, 3 })
  has(T({ 1, 2 }, "i64"), "i64", { 1, 2 })
  has(T({ math.maxinteger, math.mininteger }, "i64"), "i64", { math.maxinteger, math.mininteger })
  has(T { true, false }, "u8", { 1, 0 })
  has(T({ 1.0, 2.0 }, "u8"), "u8", { 1, 2 })
  t.equal({ T(5):dims(), T(5):item(), T({}):shape(), T({ {}, {} }):shape() }, { 0, 5.0, { 0 }, { 2, 0 } })
end)

t.test("tables that are no tensors are refused", function()
  t.fails(function() T { { 1, 2 }, { 3 } } end, "m.tensor: the rows of dimension 2 have different sizes: 2 and 1")
  t.fails(function() T { { 1, 2 }, 3 } end, "different sizes: 2 and number")
  t.fails(function() T { 1, "2" } end, "here is a string")
  t.fails(function() T { 1, { 2 } } end, "here is a table")
  t.fails(function() T { { { { { { { 1 } } } } } } } end, "nested deeper than 6")
  t.fails(function() T "x" end, "m.tensor: a table of numbers is wanted, got string")
  t.fails(function() T({ 1.5 }, "i64") end, "1.500000 does not fit in i64")
  t.fails(function() T({ 1e300 }, "i64") end, "does not fit in i64")
  t.fails(function() T({ 256 }, "u8") end, "does not fit in u8")
  t.fails(function() T({ 1 }, "f23") end, "there is no dtype 'f23'; did you mean 'f32'?")
  t.fails(function() T(T { 1 }) end, "this is a tensor already")
  local loop = {}
  loop[1] = loop
  t.fails(function() T(loop) end, "nested deeper than 6")
end)

t.test("fills have their shape, value and dtype", function()
  has(T.zeros { 2, 2 }, "f32", { { 0.0, 0.0 }, { 0.0, 0.0 } })
  has(T.zeros(2, "i64"), "i64", { 0, 0 })
  has(T.ones({ 2 }, "f64"), "f64", { 1.0, 1.0 })
  has(T.full({ 2 }, 7, "u8"), "u8", { 7, 7 })
  has(T.eye(2, "i64"), "i64", { { 1, 0 }, { 0, 1 } })
  has(T.arange(1, 5, 2), "f32", { 1.0, 3.0, 5.0 })
  has(T.arange(3, 1, -1, "i64"), "i64", { 3, 2, 1 })
  has(T.arange(1, 0), "f32", {})
  t.equal(T.zeros({}):dims(), 0)
  t.fails(function() T.zeros "x" end, "m.tensor.zeros: a shape is a table of sizes, such as {2, 3}, got string")
  t.fails(function() T.zeros { -1 } end, "a size is a whole number of at least 0, got -1")
  t.fails(function() T.zeros { 1, 1, 1, 1, 1, 1, 1 } end, "at most 6 dimensions")
  t.fails(function() T.zeros({ 1 }, 5) end, "a dtype is wanted")
  t.fails(function() T.zeros { 1 << 40, 1 << 40 } end, "m.tensor.zeros: a f32 tensor of [1099511627776, 1099511627776] does not fit")
  t.fails(function() T.arange(1, 2, 0) end, "does not count")
  t.fails(function() T.arange(0, 1e300) end, "do not fit in memory")
  t.fails(function() T.full({ 2 }, "x") end, "m.tensor.full: a number is wanted, got string")
end)

t.test("random numbers come from a seed", function()
  local a, b = T.rng(7), T.rng(7)
  t.equal(T.rand({ 3, 2 }, a):to_table(), T.rand({ 3, 2 }, b):to_table())
  t.equal(T.randn({ 4 }, "f64", a):to_table(), T.randn({ 4 }, b, "f64"):to_table())
  t.equal(T.rng(7, 1) ~= nil and T.rand(3, T.rng(7, 1)):to_table()[1] ~= T.rand(3, T.rng(7)):to_table()[1], true)
  T.seed(5)
  local first = T.rand(4):to_table()
  T.seed(5)
  t.equal(T.rand(4):to_table(), first)
  local dice = T.randint({ 1000 }, 1, 6)
  t.equal({ dice:dtype(), dice:min(), dice:max() }, { "i64", 1, 6 })
  local order = T.randperm(50)
  local sorted = order:to_table()
  table.sort(sorted)
  t.equal(sorted, T.arange(1, 50, "i64"):to_table())
  t.fails(function() T.randint({ 2 }, 3, 2) end, "m.tensor.randint: 3 to 2 is not a range")
  t.fails(function() T.rand({ 2 }, "i64") end, "m.tensor.rand: uniform: into f32 or f64, not i64")
  t.fails(function() T.rng "x" end, "m.tensor.rng: a whole number is wanted, got x")
end)

---------------------------------------------------------------------------------------------------- arithmetic

t.test("operators stretch and take numbers on either side", function()
  local a = T { { 1, 2 }, { 3, 4 } }
  has(a + T { 10, 20 }, "f32", { { 11.0, 22.0 }, { 13.0, 24.0 } })
  has(2 - a, "f32", { { 1.0, 0.0 }, { -1.0, -2.0 } })
  has(a * a / 2, "f32", { { 0.5, 2.0 }, { 4.5, 8.0 } })
  has(-a, "f32", { { -1.0, -2.0 }, { -3.0, -4.0 } })
  has(a ^ 2, "f32", { { 1.0, 4.0 }, { 9.0, 16.0 } })
  has(a:maximum(2.5):minimum(3), "f32", { { 2.5, 2.5 }, { 3.0, 3.0 } })
  has(T { 0 }:exp():log() + 1, "f32", { 1.0 })
  has(T { -1, 4 }:relu():sqrt(), "f32", { 0.0, 2.0 })
end)

t.test("a number changes the dtype no more than it must", function()
  local whole, bytes = T({ 1, 2 }, "i64"), T({ 1, 2 }, "u8")
  has(whole + 1, "i64", { 2, 3 })
  has(whole + 0.5, "f64", { 1.5, 2.5 })
  has(whole / 2, "f64", { 0.5, 1.0 })
  has(bytes + 1, "u8", { 2, 3 })
  has(bytes - 300, "i64", { -299, -298 })
  has(bytes * true, "u8", { 1, 2 })
  has(whole + T { 0.5, 0.5 }, "f32", { 1.5, 2.5 })
  t.equal((T({ 1 << 60 }, "i64") + 1):item(), (1 << 60) + 1)
end)

t.test("comparisons give masks, and masks choose", function()
  local a = T { 1, 2, 3 }
  has(a:lt(2), "u8", { 1, 0, 0 })
  has(a:ge(T { 3, 2, 1 }), "u8", { 0, 1, 1 })
  has(a:eq(2):where(a, 0), "f32", { 0.0, 2.0, 0.0 })
  has(a:ne(2):where(0, a), "f32", { 0.0, 2.0, 0.0 })
  has(a:masked_fill(a:gt(1), -1), "f32", { 1.0, -1.0, -1.0 })
  has(a:clip(2), "f32", { 2.0, 2.0, 3.0 })
  has(a:clip(nil, 2), "f32", { 1.0, 2.0, 2.0 })
end)

t.test("names that end in _ change the tensor and give it back", function()
  local a = T { 1, 2 }
  t.equal(rawequal(a:add_(1):mul_(T { 2, 3 }), a), true)
  has(a, "f32", { 4.0, 9.0 })
  a:sqrt_():neg_()
  has(a, "f32", { -2.0, -3.0 })
  a:copy(5)
  has(a, "f32", { 5.0, 5.0 })
  t.fails(function() T({ 1, 2 }, "i64"):add_(0.5) end, "tensor:add: the result is f64 [2], but is to go into i64 [2]")
  t.fails(function() T { 1 }:expand(3):add_(1) end, "tensor:add: into a broadcast view of [3]")
end)

t.test("reductions give numbers, or tensors along a dimension", function()
  local a = T { { 1, 5, 3 }, { 4, 2, 6 } }
  t.equal({ a:sum(), a:mean(), a:max(), a:min(), a:argmax(), a:argmin() }, { 21.0, 3.5, 6.0, 1.0, 6, 1 })
  has(a:sum(1), "f32", { 5.0, 7.0, 9.0 })
  has(a:mean(-1), "f32", { 3.0, 4.0 })
  has(a:max(2, true), "f32", { { 5.0 }, { 6.0 } })
  has(a:argmax(2), "i64", { 2, 3 })
  t.equal(math.type(T({ 200, 100 }, "u8"):sum()), "integer")
  t.equal(a:sum(nil, true):shape(), { 1, 1 })
  t.fails(function() a:sum(3) end, "tensor:sum: there is no dimension 3; the tensor has 2")
  t.fails(function() a:sum(0) end, "there is no dimension 0")
  t.fails(function() a:sum "x" end, "a dimension is wanted (1 to 2), got string")
  t.fails(function() T.zeros(0):max() end, "tensor:max: there is no max of nothing: [0]")
end)

t.test("softmax and topk", function()
  local a = T { { 0, 0 }, { 1000, 0 } }
  has(a:softmax(), "f32", { { 0.5, 0.5 }, { 1.0, 0.0 } })
  t.equal(a:softmax(1):to_table()[2][1], 1.0)
  t.equal(math.abs(a:log_softmax():to_table()[1][1] + math.log(2)) < 1e-6, true)
  local values, at = T { { 3, 9, 3, 0 / 0 } }:topk(3)
  has(values, "f32", { { 9.0, 3.0, 3.0 } })
  has(at, "i64", { { 2, 1, 3 } })
  t.fails(function() a:topk(3) end, "tensor:top_k: k = 3 is more than the last dimension of [2, 2]")
  t.fails(function() T(1):softmax() end, "tensor:softmax: a scalar has no dimensions")
end)

t.test("products name both shapes where they fail", function()
  local a = T { { 1, 2, 3 }, { 4, 5, 6 } }
  has(a:matmul(a:transpose()), "f32", { { 14.0, 32.0 }, { 32.0, 77.0 } })
  has(a:matmul(T { 1, 1, 1 }), "f32", { 6.0, 15.0 })
  t.fails(function() a:matmul(T.zeros { 4, 5 }) end, "tensor:matmul: [2, 3] against [4, 5]: the inner sizes 3 and 4 differ")
  t.fails(function() a:matmul(3) end, "tensor:matmul: a tensor is wanted, got number")
  t.fails(function() return a + T { 1, 2 } end, "tensor:add: [2, 3] against [2]: the shapes do not stretch to each other")
end)

---------------------------------------------------------------------------------------------------- views and picking

t.test("rows are views, and of a vector elements", function()
  local a = T { { 1, 2 }, { 3, 4 } }
  local row = a[2]
  has(row, "f32", { 3.0, 4.0 })
  t.equal(row[1], 3.0)
  row[1] = 30
  a[1] = T { 7, 8 }
  has(a, "f32", { { 7.0, 8.0 }, { 30.0, 4.0 } })
  a[2] = 0
  t.equal(a[2]:to_table(), { 0.0, 0.0 })
  t.fails(function() return a[0] end, "tensor[0]: rows are 1 to 2")
  t.fails(function() return a[3] end, "tensor[3]: rows are 1 to 2")
  t.fails(function() return T(1)[1] end, "a scalar has no rows")
  t.fails(function() a[1] = T { 1, 2, 3 } end, "tensor[i] = copy: [3] does not stretch to [2]")
  t.fails(function() a.x = 1 end, "a tensor has no fields to set")
  t.fails(function() a[1] = "x" end, "a tensor or a number is wanted, got string")
  t.fails(function() return #T(1) end, "a scalar has no length")
end)

t.test("slice, transpose, reshape and expand share memory", function()
  local a = T.arange(1, 6):reshape(2, 3)
  has(a:slice(2, 2, 3), "f32", { { 2.0, 3.0 }, { 5.0, 6.0 } })
  has(a:slice(1, 2), "f32", { { 4.0, 5.0, 6.0 } })
  t.equal(a:slice(1, 1, 0):shape(), { 0, 3 })
  has(a:transpose(), "f32", { { 1.0, 4.0 }, { 2.0, 5.0 }, { 3.0, 6.0 } })
  has(a:transpose(1, 2):reshape { -1 }, "f32", { 1.0, 4.0, 2.0, 5.0, 3.0, 6.0 })
  t.equal(a:reshape(3, -1):shape(), { 3, 2 })
  has(T { 1, 2 }:expand(2, 2), "f32", { { 1.0, 2.0 }, { 1.0, 2.0 } })
  a:slice(2, 1, 1):copy(0)
  has(a, "f32", { { 0.0, 2.0, 3.0 }, { 0.0, 5.0, 6.0 } })
  t.equal({ a:transpose():is_contiguous(), a:transpose():contiguous():is_contiguous() }, { false, true })
  t.equal(rawequal(a:contiguous(), a), true)
  local copy = a:clone()
  copy:copy(9)
  t.equal(a:sum(), 16.0)
  t.fails(function() a:reshape(4, 2) end, "tensor:reshape: [2, 3] has 6 elements, [4, 2] does not")
  t.fails(function() a:reshape(-1, -1) end, "only one size may be -1")
  t.fails(function() a:slice(1, 0, 1) end, "tensor:slice: 0 to 1 is outside dimension 1 of [2, 3]")
  t.fails(function() a:slice(1, 1, 3) end, "tensor:slice: 1 to 3 is outside")
  t.fails(function() a:expand(2, 4) end, "tensor:expand: broadcast: [2, 3] does not stretch to [2, 4]")
  t.fails(function() T { 1 }:transpose() end, "1 dimensions cannot be turned")
end)

t.test("positions count from 1", function()
  local a = T { { 1, 2 }, { 3, 4 }, { 5, 6 } }
  has(a:take { 3, 1 }, "f32", { { 5.0, 6.0 }, { 1.0, 2.0 } })
  has(a:take(T({ 2 }, "i64"), 2), "f32", { { 2.0 }, { 4.0 }, { 6.0 } })
  has(a:take(a:argmax(1)), "f32", { { 5.0, 6.0 }, { 5.0, 6.0 } })
  has(a:gather(2, T({ { 1 }, { 2 }, { 1 } }, "i64")), "f32", { { 1.0 }, { 4.0 }, { 5.0 } })
  has(T.zeros { 2, 2 }:scatter_add({ 2, 2, 1 }, a), "f32", { { 5.0, 6.0 }, { 4.0, 6.0 } })
  t.fails(function() a:take { 0 } end, "tensor:take: positions count from 1, got 0")
  t.fails(function() a:take { 4 } end, "tensor:take: position 4 is outside of a dimension of 3")
  t.fails(function() a:take { 1.5 } end, "positions are whole numbers from 1, got 1.5")
  t.fails(function() a:take(T { 1 }) end, "positions are a table or an i64 tensor, not f32")
end)

t.test("concat, stack and pad", function()
  local a, b = T { { 1, 2 } }, T { { 3, 4 } }
  has(T.concat { a, b }, "f32", { { 1.0, 2.0 }, { 3.0, 4.0 } })
  has(T.concat({ a, b }, 2), "f32", { { 1.0, 2.0, 3.0, 4.0 } })
  has(T.stack { T { 1 }, T { 2 } }, "f32", { { 1.0 }, { 2.0 } })
  has(T.stack({ T { 1, 2 }, T { 3, 4 } }, -1), "f32", { { 1.0, 3.0 }, { 2.0, 4.0 } })
  has(a:pad({ 1, 0 }, { 0, 1 }, 9), "f32", { { 9.0, 9.0, 9.0 }, { 1.0, 2.0, 9.0 } })
  t.fails(function() T.concat { a, T { 1 } } end, "m.tensor.concat: [1, 2] against [1] (tensor 2)")
  t.fails(function() T.concat { a, 5 } end, "m.tensor.concat: number 2 of the table is a number, not a tensor")
  t.fails(function() T.concat {} end, "there are no tensors to join")
  t.fails(function() a:pad({ 1 }, { 0 }) end, "two tables of 2 sizes are wanted")
end)

t.test("casts and items", function()
  has(T { 1.9, -1.9, 300 }:to "u8", "u8", { 1, 0, 255 })
  has(T { 1.9, -1.9 }:to "i64", "i64", { 1, -1 })
  t.equal({ T({ { 5 } }, "i64"):item(), T { 0.5 }:item() }, { 5, 0.5 })
  t.fails(function() T { 1, 2 }:item() end, "tensor:item: [2] has 2 elements, not one")
end)

t.test("a tensor prints its dtype, its shape and itself", function()
  t.equal(tostring(T({ { 1, 20 }, { 3, 4 } }, "i64")), "i64 [2, 2]\n[[ 1, 20],\n [ 3,  4]]")
  t.equal(tostring(T.zeros(5000)), "f32 [5000]\n[0, 0, 0, ..., 0, 0, 0]")
end)

---------------------------------------------------------------------------------------------------- errors

t.test("wrong names and wrong calls are told what is right", function()
  local a = T { 1 }
  t.fails(function() a:sofmax() end, "there is no tensor method 'sofmax'; did you mean 'softmax'?")
  t.fails(function() T.zeross { 1 } end, "there is no function of m.tensor 'zeross'; did you mean 'zeros'?")
  t.fails(function() a.sum() end, "tensor:sum: a tensor is wanted first (is it a colon that is missing?), got no value")
  t.fails(function() return a + {} end, "tensor:add: a tensor or a number is wanted, got table")
  t.fails(function() return a + "1" end, "a tensor or a number is wanted, got string")
  t.fails(function() T.zeros = nil end, "'m.tensor' is read-only ('m.tensor.zeros' cannot be set)")
  t.equal({ getmetatable(a), getmetatable(T) }, { false, false })
end)

---------------------------------------------------------------------------------------------------- files

t.test("tensors of all kinds go through safetensors by name", function()
  local path = os.tmpname()
  local all = { f32 = T { { 1.5, -0.0 }, { 1 / 0, 3 } }, f64 = T(0.1, "f64"), i64 = T({ 1, -2, math.maxinteger }, "i64"),
    u8 = T({ 0, 255 }, "u8"), none = T.zeros { 0, 3 }, ["a.b/c é"] = T { { 1, 2 }, { 3, 4 } }:transpose() }
  T.save(path, all)
  local back = T.load(path)
  for name, tensor in pairs(all) do
    t.equal({ back[name]:dtype(), back[name]:shape(), back[name]:to_table() }, { tensor:dtype(), tensor:shape(), tensor:to_table() }, name)
    back[name] = nil
  end
  t.equal(next(back), nil)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "a"
  file:close()
  T.save(path, all)
  file = assert(io.open(path, "rb"))
  t.equal(file:read "a" == bytes, true)
  file:close()
  T.save(path, all.i64)
  t.equal(T.load(path):to_table(), { 1, -2, math.maxinteger })
  os.remove(path)
end)

t.test("what is no file of tensors is refused, and a save that fails leaves what was there", function()
  local path = os.tmpname()
  local function put(bytes)
    local file = assert(io.open(path, "wb"))
    file:write(bytes)
    file:close()
  end
  T.save(path, { a = T { 1, 2 } })
  t.fails(function() T.save(path, { a = T { 1 }, b = 2 }) end, "m.tensor.save: 'b' is a number, not a tensor")
  t.fails(function() T.save(path, { T { 1 } }) end, "m.tensor.save: names are strings, got a number")
  t.fails(function() T.save(path, { ["a\0b"] = T { 1 } }) end, "zero byte in the name 'a'")
  t.fails(function() T.save(path, { ["\xff"] = T { 1 } }) end, "not UTF-8")
  t.fails(function() T.save(path, { __metadata__ = T { 1 } }) end, '"__metadata__" is not a tensor')
  t.fails(function() T.save(path, 5) end, "a tensor, or tensors by name, are wanted second, got number")
  t.fails(function() T.save("/there/is/no/such/folder/x", { a = T { 1 } }) end, "m.tensor.save: /there/is/no")
  t.equal(T.load(path).a:to_table(), { 1.0, 2.0 })
  t.equal(io.open(path .. ".part"), nil)
  local function header(text) return string.pack("<I8", #text) .. text end
  for _, case in ipairs {
    { string.pack("<I8", 1 << 40) .. "{}", "is over the limit of 100000000" },
    { string.pack("<I8", 1000) .. "{}", "a header of 1000 bytes in a file of 10" },
    { header '{"a":', "the header is not JSON" },
    { header '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "are outside the data of 0 bytes" },
    { header '{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}' .. ("x"):rep(8), "8 bytes of data, but F32 [3] has 12" },
    { header '{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}' .. "xx", 'tensor "a" is F16, which is not computed with' },
  } do
    put(case[1])
    t.fails(function() T.load(path) end, "m.tensor.load: ", case[2])
  end
  os.remove(path)
end)

t.test("tensors are saved and loaded", function()
  local path = os.tmpname()
  T({ { 1, 2 }, { 3, 4 } }, "f64"):transpose():save(path)
  has(T.load(path), "f64", { { 1.0, 3.0 }, { 2.0, 4.0 } })
  local file = assert(io.open(path, "wb"))
  local header = '{"b":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
  file:write(("<I8"):pack(#header), header, ("<ffi8"):pack(1, 2, 7))
  file:close()
  local named = T.load(path)
  has(named.a, "f32", { 1.0, 2.0 })
  has(named.b, "i64", { 7 })
  file = assert(io.open(path, "wb"))
  file:write "\x93NUMPY\1\0nothing"
  file:close()
  t.fails(function() T.load(path) end, "m.tensor.load: npy: ")
  file = assert(io.open(path, "wb"))
  file:write "just text, long enough"
  file:close()
  t.fails(function() T.load(path) end, "m.tensor.load: neither .npy nor safetensors")
  os.remove(path)
  t.fails(function() T.load(path) end, "No such file or directory")
  t.fails(function() T { 1 }:save "/there/is/no/such/folder/x.npy" end, "tensor:save: /there/is/no")
  t.fails(function() T.load(5) end, "m.tensor.load: a path is wanted, got number")
end)

---------------------------------------------------------------------------------------------------- memory

local function with_limit(bytes, fn)
  collectgarbage()
  T.limit((T.memory()) + bytes)
  local fine, message = pcall(fn)
  T.limit(0)
  if not fine then error(message, 0) end
end

t.test("ten thousand tensors of a megabyte fit in 64", function()
  with_limit(64 * MB, function()
    for i = 1, 10000 do
      local a = T.zeros({ MB }, "u8")
      if i % 1000 == 0 then a:copy(1) end
    end
  end)
end)

t.test("temporaries of long expressions go too", function()
  with_limit(16 * MB, function()
    local x = T.ones { MB / 4 }
    for _ = 1, 300 do x = ((x + 1) * 2 - 1) / x:maximum(1):exp():log() end
    t.equal(x:min() > 0, true)
  end)
end)

t.test("a tensor above the limit is a clean error", function()
  with_limit(8 * MB, function()
    local kept = T.ones { MB }
    t.fails(function() T.zeros { 3 * MB } end, "m.tensor.zeros: no memory for a f32 tensor of [3145728]: 12582912 bytes asked")
    t.fails(function() return kept + kept:to "f64" end, "no memory")
    t.equal(kept:sum(), MB * 1.0)
  end)
end)

t.test("errors that pcall caught leave nothing behind", function()
  collectgarbage()
  local before = T.memory()
  local a = T.ones { 64, 64 }
  for _ = 1, 2000 do
    pcall(function() return a:matmul(T.ones { 63, 2 }) end)
    pcall(function() return a + T.ones(63) end)
    pcall(function() return a:take { 1, 65 } end)
    pcall(function() return T { { 1 }, { 2, 3 } } end)
    pcall(function() return T.concat { a, T.ones { 1, 1 } } end)
    pcall(T.load, "/there/is/no/such/file")
  end
  a = nil -- luacheck: ignore
  collectgarbage()
  collectgarbage()
  t.equal((T.memory()), before)
end)

t.test("views keep their memory and give it back", function()
  collectgarbage()
  local before = T.memory()
  local row = T.ones { 1000, 1000 }[5]
  collectgarbage()
  t.equal({ row:sum(), (T.memory()) - before > 4000000 }, { 1000.0, true })
  row = nil -- luacheck: ignore
  collectgarbage()
  t.equal((T.memory()), before)
end)

t.done()
