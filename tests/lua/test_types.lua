-- Editors can complete and check every word: each has a comment, a type for each parameter and result, and its options by name; and every
-- type that an annotation names is declared.
local t = require "harness"
local m = require "moonshelf"

local FOLDER = (os.getenv "MOON_SOURCE_DIR" or "../..") .. "/lua/moonshelf/"
local MODULES = { m = m, ["m.nn"] = m.nn, ["m.split"] = m.split, ["m.source"] = m.source, ["m.policy"] = m.policy, ["m.gate"] = m.gate, ["m.tune"] = m.tune }
local FILES = {
  "columns", "data", "features", "formula", "gate", "init", "nn", "policy", "recipe", "rules", "site", "source", "split", "tasks", "test", "tune",
  "types", "words",
}

local function lines_of(name)
  local list = {}
  for line in io.lines(FOLDER .. name .. ".lua") do list[#list + 1] = line end
  return list
end

--- The block of --- lines above line `at`.
local function doc_above(lines, at)
  local from = at
  while from > 1 and lines[from - 1]:find "^%s*%-%-%-" and not lines[from - 1]:find "^%-%-%-%-" do from = from - 1 end
  return table.concat(lines, "\n", from, at - 1)
end

--- Where `owner.word` is made: its doc, and its parameters where it is written as a function.
local function made_in(file, owner, word)
  local lines = lines_of(file)
  for at, line in ipairs(lines) do
    local parameters = line:match("^function " .. owner .. "%." .. word .. "(%b())")
    local given = line:find("^" .. owner .. "%." .. word .. " = ") or line:find("^local function " .. word .. "%(")
    if parameters or given then return doc_above(lines, at) .. "\n", parameters or line:match("^local function %w+(%b())"), line end
  end
end

--- The comment over the group that the line stands in, for words that are alike.
local function group_above(lines, at)
  while at > 1 and lines[at - 1] ~= "" do at = at - 1 end
  return (lines[at]:gsub("^%s*%-%- ", "--- "))
end

--- "m.count" -> the doc of features.count, and its parameters.
local function definition(path, word)
  if path ~= "m" then
    local name = path:match "%.(%w+)$"
    return made_in(name, name, word)
  end
  for at, line in ipairs(lines_of "init") do
    local owner, inner = line:match("^  " .. word .. " = ([%w_]+)%.([%w_]+),")
    if owner == "native" then return doc_above(lines_of "init", at) .. "\n" .. line, nil, line end
    if owner and line:find "%-%-%-@type" then return group_above(lines_of "init", at) .. "\n" .. line, nil, line end
    if owner then return made_in(owner, owner, inner) end
    if line:find("^  " .. word .. " = " .. word .. ",") then return made_in("init", "m", word) end
  end
end

local function each_word(fn)
  for path, module in pairs(MODULES) do
    for word, value in pairs(module) do
      if type(value) == "function" then fn(path, word) end
    end
  end
end

t.test("every word has a comment that says what it does", function()
  each_word(function(path, word)
    local doc = definition(path, word)
    assert(doc, ("the test does not find where %s.%s is made"):format(path, word))
    assert(doc:find "%-%-%- [^@%s]", ("%s.%s has no comment"):format(path, word))
  end)
end)

t.test("every parameter and every result has a type", function()
  each_word(function(path, word)
    local doc, parameters = definition(path, word)
    local whole = path .. "." .. word
    if not parameters then
      assert(doc:find "@type fun%(" or doc:find "@type moonshelf%.%w+", whole .. " has no @type")
    elseif not doc:find "@overload" then
      for name in parameters:gmatch "[%w_]+" do
        assert(doc:find("@param " .. name .. "%?? %S"), ("%s: no @param %s"):format(whole, name))
      end
      for name in doc:gmatch "@param ([%w_]+)" do
        assert(parameters:find("%f[%w_]" .. name .. "%f[^%w_]"), ("%s has no parameter %s"):format(whole, name))
      end
      assert(doc:find "@return %S", whole .. " has no @return")
    end
  end)
end)

--- What annotations declare and name.
local function annotations()
  local declared, named = {}, {}
  for _, file in ipairs(FILES) do
    for at, line in ipairs(lines_of(file)) do
      local kind, name = line:match "^%s*%-%-%-@(%a+) ([%w_.]+)"
      if kind == "class" or kind == "alias" then
        if declared[name] then error(("%s.lua:%d: %s is declared twice (before at %s)"):format(file, at, name, declared[name])) end
        declared[name] = ("%s.lua:%d"):format(file, at)
      end
      if line:find "%-%-%-@" then
        for used in line:gmatch "moonshelf%.%u[%w_]*" do named[used] = named[used] or ("%s.lua:%d"):format(file, at) end
      end
    end
  end
  return declared, named
end

t.test("every type that is named is declared, once", function()
  local declared, named = annotations()
  for name, where in pairs(named) do assert(declared[name], ("%s: there is no class or alias %s"):format(where, name)) end
  assert(declared["moonshelf.Slate"] and named["moonshelf.Slate"])
end)

--- The text of a class (its fields, its parents') or an alias.
local function type_text(name)
  for _, file in ipairs(FILES) do
    local lines = lines_of(file)
    for at, line in ipairs(lines) do
      if line:find("^%-%-%-@alias " .. name:gsub("%.", "%%.") .. "%f[^%w_]") then return line end
      if line:find("^%-%-%-@class " .. name:gsub("%.", "%%.") .. "%f[^%w_]") then
        local last = at
        while lines[last + 1] and lines[last + 1]:find "^%-%-%-@" and not lines[last + 1]:find "^%-%-%-@class" do last = last + 1 end
        return table.concat(lines, "\n", at, last)
      end
    end
  end
  return ""
end

--- A doc with the types that it names, and those that they name.
local function with_types(doc)
  local seen, text = {}, doc
  local function add(part)
    for name in part:gmatch "moonshelf%.%u[%w_]*" do
      if not seen[name] then
        seen[name] = true
        local more = type_text(name)
        text = text .. "\n" .. more
        add(more)
      end
    end
  end
  add(doc)
  return text
end

-- Each word with options, called with these.
local WITH_OPTIONS = {
  ["m.csv"] = function(o) m.csv("x.csv", o) end, ["m.tsv"] = function(o) m.tsv("x.tsv", o) end,
  ["m.jsonl"] = function(o) m.jsonl("x.jsonl", o) end, ["m.sqlite"] = function(o) m.sqlite("x.db", o) end,
  ["m.postgres"] = function(o) m.postgres("host=db", o) end,
  ["m.label"] = function(o) m.label(o) end,
  ["m.k_core"] = function(o) m.k_core(o) end, ["m.bots"] = function(o) m.bots(o) end,
  ["m.join"] = function(o) m.join(m.csv "u.csv" { user = "u" }, o) end, ["m.clip"] = function(o) m.clip("price", o) end,
  ["m.id"] = function(o) m.id "user"(o) end, ["m.category"] = function(o) m.category "c"(o) end,
  ["m.cross"] = function(o) m.cross({ "a", "b" }, o) end, ["m.tags"] = function(o) m.tags "t"(o) end,
  ["m.words"] = function(o) m.words "t"(o) end, ["m.tfidf"] = function(o) m.tfidf("t", o) end,
  ["m.embedding_file"] = function(o) m.embedding_file "item"(o) end,
  ["m.text_embedding"] = function(o) m.text_embedding "title"(o) end,
  ["m.bucketize"] = function(o) m.bucketize("price", { 1, 2 }, o) end,
  ["m.hour"] = function(o) m.hour(o) end, ["m.weekday"] = function(o) m.weekday(o) end, ["m.position"] = function(o) m.position("p", o) end,
  ["m.count"] = function(o) m.count("user", "view", "1h", o) end, ["m.rate"] = function(o) m.rate("user", "a", "b", o) end,
  ["m.decay"] = function(o) m.decay("user", "view", "1d", o) end, ["m.recency"] = function(o) m.recency("user", "view", o) end,
  ["m.interacted_with"] = function(o) m.interacted_with("view", o) end, ["m.mean"] = function(o) m.mean("user", "view", "price", o) end,
  ["m.cooccurrence"] = function(o) m.cooccurrence("view", o) end, ["m.lua"] = function(o) m.lua("f", function() end, o) end,
  ["m.history"] = function(o) m.history("gap", o) end,
  ["m.recipe"] = function(o) m.recipe "r"(o) end, ["m.slot"] = function(o) m.slot "s"(o) end,
  ["m.page"] = function(o) o[1] = m.slot "s" { from = m.source.popular() } m.page(o) end,
  ["m.policy.boost"] = function(o) m.policy.boost("new", 2, o) end, ["m.policy.bury"] = function(o) m.policy.bury("new", 0.5, o) end,
  ["m.policy.filter"] = function(o) m.policy.filter("new", o) end, ["m.policy.cap"] = function(o) m.policy.cap({ brand = 2 }, o) end,
  ["m.nn.dense"] = function(o) m.nn.dense(8, "relu", o) end, ["m.nn.activation"] = function(o) m.nn.activation("relu", o) end,
  ["m.nn.dropout"] = function(o) m.nn.dropout(0.1, o) end, ["m.nn.batch_norm"] = function(o) m.nn.batch_norm(o) end,
  ["m.nn.layer_norm"] = function(o) m.nn.layer_norm(o) end, ["m.nn.cross"] = function(o) m.nn.cross(1, o) end,
  ["m.nn.fm"] = function(o) m.nn.fm(o) end, ["m.nn.flatten"] = function(o) m.nn.flatten(o) end,
  ["m.nn.reshape"] = function(o) m.nn.reshape({ 2 }, o) end, ["m.nn.embedding"] = function(o) m.nn.embedding(4, o) end,
  ["m.nn.embedding_bag"] = function(o) m.nn.embedding_bag(4, o) end, ["m.nn.position"] = function(o) m.nn.position(o) end,
  ["m.nn.attention"] = function(o) m.nn.attention(o) end, ["m.nn.transformer"] = function(o) m.nn.transformer(o) end,
  ["m.nn.mask"] = function(o) m.nn.mask(o) end,
  ["m.nn.gru"] = function(o) m.nn.gru(4, o) end, ["m.nn.pool"] = function(o) m.nn.pool("mean", o) end, ["m.nn.din"] = function(o) m.nn.din(o) end,
  ["m.nn.sequential"] = function(o) o[1] = m.nn.dense(1) m.nn.sequential(o) end,
  ["m.nn.residual"] = function(o) o[1] = m.nn.dense(1) m.nn.residual(o) end,
  ["m.nn.parallel"] = function(o) o[1] = m.nn.dense(1) m.nn.parallel(o) end,
  ["m.nn.sgd"] = function(o) m.nn.sgd(o) end, ["m.nn.adam"] = function(o) m.nn.adam(o) end, ["m.nn.adamw"] = function(o) m.nn.adamw(o) end,
  ["m.nn.adagrad"] = function(o) m.nn.adagrad(o) end, ["m.nn.ftrl"] = function(o) m.nn.ftrl(o) end,
  ["m.nn.schedule"] = function(o) m.nn.schedule("cosine", o) end,
}

for _, word in ipairs {
  "exclude", "frequency", "freshness", "clearance", "suppress", "blend", "sort", "pin", "quota", "ratio", "pattern", "mix", "margin", "debunch",
  "mmr", "dpp", "calibrate", "epsilon", "sample", "thompson", "linucb",
} do
  WITH_OPTIONS["m.policy." .. word] = function(o) m.policy[word](o) end
end

--- The options that a word knows: what it says to one that nothing is like.
local function options_of(call)
  local _, message = pcall(call, { ["~~~~~~~~~~~~"] = 1 })
  local list = tostring(message):match "unknown option '~~~~~~~~~~~~' %(known: ([^)]*)%)"
  assert(list, message)
  local out = {}
  for name in list:gmatch "[%w_]+" do out[#out + 1] = name end
  return out
end

t.test("every option that a word knows is in the annotation of the word", function()
  for whole, call in pairs(WITH_OPTIONS) do
    local path, word = whole:match "^(.+)%.([%w_]+)$"
    local text = with_types((definition(path, word)))
    for _, option in ipairs(options_of(call)) do
      assert(text:find("[{ ,]" .. option .. "%??:") or text:find("@field " .. option .. "%??%s"),
        ("%s: the option '%s' is in no annotation"):format(whole, option))
    end
  end
end)

t.test("the options of training are those of its type", function()
  local text = type_text "moonshelf.TrainOptions"
  for _, option in ipairs(options_of(function(o) t.recipe { train = o } end)) do
    assert(text:find("@field " .. option .. "%??%s"), "moonshelf.TrainOptions lacks " .. option)
  end
end)

t.done()
