-- tries: fields of the slate and of ctx
-- expect: works
-- at: policy
assert(not pcall(function() slate.score = 1 end))
assert(not pcall(function() return slate.nothing end))
assert(not pcall(function() return ctx.nothing end))
assert(not pcall(slate.get, slate, 0, "price"))
assert(not pcall(slate.get, slate, 1 << 40, "price"))
assert(not pcall(slate.id, slate, -1))
ctx.params.x, ctx.cart[1] = 1, "nothing"
