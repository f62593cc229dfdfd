-- lua/README.md tells the truth: its examples load, the plans it shows are the plans they make, and it leaves no word out.
local t = require "harness"
local m = require "moonshelf"
local cjson = require "cjson"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local README = read((os.getenv "MOON_SOURCE_DIR" or "../..") .. "/lua/README.md")

--- The fenced blocks of a language, each { text, line }; several languages in the order of the page.
local function blocks(...)
  local list, wanted, language, from, lines, number = {}, {}, nil, nil, nil, 0
  for _, name in ipairs { ... } do wanted[name] = true end
  for line in (README .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    local fence = line:match "^```(%w*)$"
    if fence and not language then
      language, from, lines = fence, number, {}
    elseif fence then
      if wanted[language] then list[#list + 1] = { language = language, text = table.concat(lines, "\n"), line = from } end
      language = nil
    elseif language then
      lines[#lines + 1] = line
    end
  end
  return list
end

--- What a block returns, with errors at lines of README.md.
local function run(block)
  local chunk = assert(load(("\n"):rep(block.line) .. block.text, "@README.md", "t", { require = require, pairs = pairs, ipairs = ipairs, math = math }))
  return chunk()
end

--- A plan without its places and with whole numbers as cjson reads them.
local function bare(plan)
  if type(plan) ~= "table" then return plan end
  local copy = {}
  for key, value in pairs(plan) do
    if key ~= "where" then copy[key] = bare(value) end
  end
  return copy
end

t.test("every example of a recipe or a site loads", function()
  local count = { recipe = 0, site = 0 }
  for _, block in ipairs(blocks "lua") do
    local kind = block.text:match "^%-%- (%w+)\n"
    local known = count[kind] or kind == "tensors" or kind == "models" or kind == "test"
    assert(known, ("line %d: a lua block begins with -- recipe, -- site, -- test, -- tensors or -- models"):format(block.line))
    if not count[kind] then goto continue end
    count[kind] = count[kind] + 1
    assert(tostring(run(block)):find("^moonshelf " .. kind .. " "), ("line %d is no %s"):format(block.line, kind))
    ::continue::
  end
  assert(count.recipe >= 2 and count.site >= 3)
end)

t.test("the plans shown are those of the examples before them", function()
  local last, compared = nil, 0
  for _, block in ipairs(blocks("lua", "json")) do
    if block.language == "lua" then
      last = block
    else
      compared = compared + 1
      t.equal(bare(t.plan(run(last))), bare(cjson.decode(block.text)), "the plan at line " .. block.line)
    end
  end
  t.equal(compared, 2)
end)

t.test("the example of tensors computes what it says", function()
  local found
  for _, block in ipairs(blocks "lua") do
    if block.text:find "^%-%- tensors\n" then found = run(block) end
  end
  t.equal(found, { { 2, 4 }, 6.0, 21.0, "i64" })
end)

t.test("the examples of models train as they say", function()
  local found = {}
  for _, block in ipairs(blocks "lua") do
    if block.text:find "^%-%- models\n" then found[#found + 1] = run(block) end
  end
  t.equal(found, { { true, 40, true, { 500, 1 } }, { true, 4, { 3, 1 } }, { true, true, true, true } })
end)

--- A filter is a function of Lua, which a stock lua5.4 does not lend to C: the recipe of the page without it.
local function recipe_beside_the_test()
  local block = blocks "lua" [1]
  return run { line = block.line, text = block.text:gsub("m%.filter%b(),", 'm.drop_missing "event",') }
end

t.test("the example of a test passes, but for what wants a filter", function()
  local outcome = {}
  local words = setmetatable({ test = function(name)
    return function(options) outcome[#outcome + 1] = { name, pcall(m.test(name)(options).run) } end
  end }, { __index = m })
  local function beside(name) return name == "recipe" and recipe_beside_the_test() or words end
  for _, block in ipairs(blocks "lua") do
    local chunk = block.text:find "^%-%- test\n" and load(block.text, "@README.md", "t", { require = beside, math = math })
    if chunk then chunk() end
  end
  t.equal({ #outcome, outcome[1][1], outcome[1][2], outcome[2][2] }, { 2, "a look counts for an hour", true, false })
  assert(outcome[2][3]:find "got 1, expected 0")
end)

t.test("every word and every option is named", function()
  local function named(text) assert(README:find(text, 1, true), "README.md does not name " .. text) end
  local modules = { m = m, ["m.nn"] = m.nn, ["m.split"] = m.split, ["m.source"] = m.source, ["m.policy"] = m.policy, ["m.gate"] = m.gate,
    ["m.tune"] = m.tune }
  for path, module in pairs(modules) do
    for name, word in pairs(module) do
      if type(word) == "function" then named(path .. "." .. name) end
    end
  end
end)

t.test("every link within the page has its heading", function()
  local anchors = {}
  for heading in README:gmatch "\n#+ ([^\n]+)" do anchors[(heading:lower():gsub("[^%w %-]", ""):gsub(" ", "-"))] = true end
  for anchor in README:gmatch "%]%(#([^)]+)%)" do assert(anchors[anchor], "no heading for #" .. anchor) end
end)

t.done()
