-- What all words share: places in errors, names that are nearly right, and tables that cannot be changed.
local t = require "harness"
local m = require "moonshelf"

local JUNK = {
  5, -1, 0, 2.5, 0 / 0, math.huge, -math.huge, math.maxinteger, true, false, "", "x", ("long "):rep(40), "bad\255\254 bytes", "two\nlines",
  {}, { 1, 2, 3 }, { [2] = "hole" }, { x = 1 }, { { {} } }, { [true] = 1 }, { "view", "view" }, { "view", 5 }, print, m, m.policy,
  coroutine.create(print), io.stdout, m.id "user", m.csv "x", m.source.popular(3), setmetatable({}, { __index = { 1, 2 } }),
}

local function modules()
  return { m = m, ["m.nn"] = m.nn, ["m.split"] = m.split, ["m.source"] = m.source, ["m.policy"] = m.policy, ["m.gate"] = m.gate, ["m.tune"] = m.tune }
end

--- Every word, as path -> function.
local function all_words()
  local list = {}
  for path, module in pairs(modules()) do
    for name, value in pairs(module) do
      if type(value) == "function" then list[path .. "." .. name] = value end
    end
  end
  return list
end

local function has_place(message)
  return type(message) == "string" and message:find("^test_words%.lua:%d+: ") and not message:find("moonshelf/", 1, true)
end

t.test("an error stands on the line of the call", function()
  local line = debug.getinfo(1, "l").currentline
  local _, message = pcall(function()
    local x = 1
    m.count("item",
      "view", x)
  end)
  t.equal(message:match("^test_words%.lua:(%d+): "), tostring(line + 3))
end)

t.test("a tail call keeps the line where the word was named", function()
  t.fails(function() return m.page { 5 } end, "m.page: slot 1 must be a slot", "got 5")
  t.fails(function() return m.site {} end, "m.site: a site needs at least one page")
  t.fails(function() return m.policy.cap {} end, "m.policy.cap")
  t.fails(function() return m.gate.country() end, "m.gate.country", "got nothing")
end)

t.test("a word called from a function of another file names that file", function()
  local chunk = assert(load("local m = ...\n\nm.id 'shelf'\n", "@rules/winter.lua"))
  local _, message = pcall(chunk, m)
  t.equal(message:match("^(.-: )"), "rules/winter.lua:3: ")
  chunk = assert(load("local m = ...\n\nm.id 'shelf'\n"))
  _, message = pcall(chunk, m)
  assert(message:find('[string "local m = ', 1, true) == 1 and message:find("]:3: ", 1, true), message)
end)

t.test("a word's place is in the plan", function()
  local line = debug.getinfo(1, "l").currentline
  local plan = t.feature(
    m.log "price"
  )
  t.equal(plan.where, "test_words.lua:" .. line + 2)
end)

t.test("an unknown word names the nearest, or all there are", function()
  t.fails(function() return m.coutn end, "there is no word 'm.coutn'; did you mean 'm.count'?")
  t.fails(function() return m.policy.bost end, "there is no word 'm.policy.bost'; did you mean 'm.policy.boost'?")
  t.fails(function() return m.source.populer end, "did you mean 'm.source.popular'?")
  t.fails(function() return m.zzzzzzzzzz end, "(known: ", "tensor, ", "tsv, tune, version")
  t.fails(function() return m[5] end, "there is no word 'm.5'")
  t.fails(function() return m[{}] end, "there is no word 'm.table")
end)

t.test("every word with one letter left out or two swapped is found again", function()
  for path, module in pairs(modules()) do
    for name in pairs(module) do
      for i = 1, #name - 1 do
        for _, typo in ipairs { name:sub(1, i) .. name:sub(i + 2), name:sub(1, i - 1) .. name:sub(i + 1, i + 1) .. name:sub(i, i) .. name:sub(i + 2) } do
          local is_word = false
          for other in pairs(module) do is_word = is_word or other == typo end
          if not is_word and #typo > 2 then
            local _, message = pcall(function() return module[typo] end)
            assert(has_place(message) and message:find("did you mean '" .. path, 1, true), ("%s.%s: %s"):format(path, typo, message))
          end
        end
      end
    end
  end
end)

t.test("tables of words are read-only and can be listed", function()
  for path, module in pairs(modules()) do
    t.fails(function() module.mine = 1 end, "'" .. path .. "' is read-only")
    local count = 0
    for name, value in pairs(module) do
      count = count + 1
      assert(module[name] == value)
    end
    assert(count > 0, path)
    local _, members = pairs(module)
    for name in pairs(members) do members[name] = nil end
    assert(next((select(2, pairs(module)))) ~= nil, "the copy was the table itself")
    t.equal(getmetatable(module), false)
  end
end)

t.test("whatever is given to a word, an error has a place and is one line", function()
  local tried = 0
  for path, word in pairs(all_words()) do
    for _, a in ipairs(JUNK) do
      for _, b in ipairs(JUNK) do
        tried = tried + 1
        local fine, answer = pcall(function()
          local made = word(a, b, a)
          -- m.csv "x" wants its columns, m.slot "x" its options: the second half gets the junk too
          if type(made) == "table" and getmetatable(made) and getmetatable(made).__call then made = made(b) end
          return made
        end)
        if path ~= "m.plan" and not fine then
          assert(has_place(answer), ("%s(%s, %s): %s"):format(path, t.show(a), t.show(b), tostring(answer)))
          assert(not answer:find("\n", 1, true), answer)
        end
      end
    end
  end
  assert(tried > 10000)
end)

t.test("errors say the value, what was expected, and quote it on one line", function()
  t.fails(function() m.id(5) end, "m.id must be one of user, item, got 5")
  t.fails(function() m.id "shelf" end, 'm.id: there is no "shelf" (known: user, item)')
  t.fails(function() m.id "usre" end, "did you mean 'user'?")
  t.fails(function() m.log(true) end, "m.log must be the name of a number column or a number such as m.count(...), got true")
  t.fails(function() m.log(m.id "user") end, "got a feature")
  t.fails(function() m.log(print) end, "got a function")
  t.fails(function() m.log "" end, "must not be the empty string")
  t.fails(function() m.nn.dense("a\nb") end, [[got the string "a\nb"]])
  t.fails(function() m.nn.dense(("y"):rep(100)) end, ("y"):rep(37) .. '..."')
  t.fails(function() m.filter(m.csv "x") end, 'got m.csv "x" without its columns')
end)

t.test("a plan is the same text each time, with sorted keys", function()
  t.recipe() -- takes what words of m.tune have asked for above
  local text = m.plan(t.recipe())
  for _ = 1, 5 do t.equal(m.plan(t.recipe()), text) end
  assert(text:find('^{"evaluate":.*"events":.*"version":1,"where":'))
end)

t.test("m.plan takes what scripts return and nothing else", function()
  for _, junk in ipairs(JUNK) do assert(not pcall(m.plan, junk)) end
  assert(not pcall(m.plan))
  t.equal(tostring(t.recipe()), "moonshelf recipe 'small'")
  t.equal(tostring(m.site { home = m.page { m.slot "s" { from = m.source.recent() } } }), "moonshelf site 'site'")
end)

t.test("what is not UTF-8 cannot be in a plan, and says so", function()
  local fine, message = pcall(m.plan, t.recipe { features = { m.id "item", m.count("item", "view\255", "1h") } })
  assert(not fine and message:find("UTF-8", 1, true), message)
end)

t.test("one word's defaults are not another's", function()
  local first = m.history "item"
  first.kinds[1] = "mine"
  t.equal(t.feature(m.history "item").kinds, {})
  m.rate("item", "a", "b").prior[1] = 99
  t.equal(t.feature(m.rate("item", "a", "b")).prior, { 1, 20 })
end)

t.test("the version is known", function() assert(m.version:match("^%d+%.%d+%.%d+$")) end)

t.done()
