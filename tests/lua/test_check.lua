-- While a script is checked: what fails is noted once and the script goes on, whatever it then does with what failed.
local notes = {}
debug.getregistry()["moonshelf.note"] = function(level, text) notes[#notes + 1] = level .. ": " .. text end

local t = require "harness"
local m = require "moonshelf"

local JUNK = {
  5, -1, 2.5, 0 / 0, math.huge, true, false, "", "x", ("long "):rep(40), "bad\255\254 bytes", "two\nlines", {}, { 1, 2, 3 }, { [2] = "hole" },
  { x = 1 }, { { {} } }, { "view", 5 }, print, m.id "user", m.csv "x", m.source.popular(3),
}

local function modules()
  return { m = m, ["m.nn"] = m.nn, ["m.split"] = m.split, ["m.source"] = m.source, ["m.policy"] = m.policy, ["m.gate"] = m.gate, ["m.tune"] = m.tune }
end

-- Made in C: their errors are Lua's own, and end the script.
local OTHER = { ["m.grad"] = true, ["m.plan"] = true, ["m.nn.param"] = true, ["m.nn.make_optimizer"] = true }

local function each_word(fn)
  for path, module in pairs(modules()) do
    for name, value in pairs(module) do
      local whole = path .. "." .. name
      if type(value) == "function" and not OTHER[whole] then fn(whole, function(...) return (module[name](...)) end) end
    end
  end
end

--- What fn's checks noted.
local function noted(fn)
  notes = {}
  fn()
  return notes
end

local function is_stand_in(value) return type(value) == "table" and value.anything == value and value() == value end

t.test("a word that fails is noted with its place and gives a stand-in", function()
  local value
  local line = debug.getinfo(1, "l").currentline
  local found = noted(function()
    value = m.id "usre"
  end)
  t.equal(found, { ("error: test_check.lua:%d: m.id: there is no \"usre\"; did you mean 'user'?"):format(line + 2) })
  assert(is_stand_in(value) and is_stand_in(value { dim = 3 }))
end)

t.test("no junk whatever raises, and each that is wrong is noted", function()
  each_word(function(path, word)
    for _, junk in ipairs(JUNK) do
      for _, more in ipairs { { junk }, { "x", junk }, { "user", "view", junk } } do
        local before = #notes
        local fine, value = pcall(word, table.unpack(more))
        if not fine then error(("%s(%s): %s"):format(path, t.show(more), tostring(value))) end
        assert(#notes > before or value ~= nil, path)
        if getmetatable(value) == nil and type(value) == "table" and #notes == before then
          assert(type(value.where) == "string" or path:find "embedding_file", path)
        end
      end
    end
  end)
  t.recipe { events = m.csv "e.csv" { user = "u", item = "i", time = "t", event = "e" } } -- takes what words of m.tune have asked for
  for _, note in ipairs(notes) do
    assert(note:find "^%a+: test_check%.lua:%d+: " and not note:find("\n", 1, true) and not note:find("moonshelf/", 1, true), note)
  end
end)

t.test("a stand-in is taken everywhere and nothing is said of it", function()
  notes = {}
  local unknown = m.nowhere
  t.equal(#notes, 1)
  each_word(function(path, word)
    for _, arguments in ipairs {
      { unknown }, { unknown, unknown, unknown }, { "user", unknown }, { { unknown } }, { { x = unknown } }, { "item", "view", unknown },
      { "item", "view", { unknown }, { by = unknown } }, { 8, "relu", unknown }, { 8, unknown },
    } do
      local before = #notes
      local fine, value = pcall(word, table.unpack(arguments))
      assert(fine, path .. ": " .. tostring(value))
      for i = before + 1, #notes do -- what else is wrong with them may be said
        assert(not notes[i]:find("stand-in", 1, true), path .. ": " .. notes[i])
      end
    end
  end)
end)

t.test("the same mistake is told of once, another on its line again", function()
  local found = noted(function()
    for _ = 1, 3 do local _ = m.log(true) end
    local _ = m.log(true)
  end)
  t.equal(#found, 2)
end)

t.test("an option that is wrong leaves the others to be checked", function()
  local found = noted(function()
    local _ = m.id "user" { dim = 0, hash = 1, min_cuont = 3 }
  end)
  t.equal(#found, 3)
end)

t.test("elements of a list are each checked, by their own numbers", function()
  local found = noted(function()
    local _ = m.drop_missing { "user", 5, m.nothing, "item", 6 }
  end)
  t.equal(#found, 3)
  assert(found[2]:find("m.drop_missing[2] must be a string, got 5", 1, true) and found[3]:find("m.drop_missing[5]", 1, true), t.show(found))
end)

t.test("a recipe that is right is as it is without a check", function()
  local found = noted(function() t.plan(t.recipe()) end)
  assert(#found == 1 and found[1]:find "^warning: %S*harness%.lua:%d+: nothing reads the column 'rating' of the events$", t.show(found))
end)

t.test("an unknown part of a recipe hides no other and causes none", function()
  for i, part in ipairs { "events", "items", "preprocess", "label", "features", "model", "train", "evaluate" } do
    local unknown = m.nowhere
    local found = noted(function() return t.recipe { [part] = unknown } end)
    for _, note in ipairs(found) do assert(note:find "^warning", part .. ": " .. note) end
    found = noted(function() return t.recipe { [part] = unknown, [part == "train" and "evaluate" or "train"] = i } end)
    local errors = 0
    for _, note in ipairs(found) do errors = errors + (note:find "^error" and 1 or 0) end
    t.equal(errors, 1, part)
  end
end)

t.test("words that cannot be set are left as they are", function()
  local found = noted(function() m.id = 5 end)
  assert(#found == 1 and found[1]:find("'m' is read-only", 1, true))
  assert(type(m.id) == "function")
end)

t.done()
