--- tasks.lua - several labels over the same examples, the heads of a model that learn them, and the one score that both give.
---
--- One idea: a task is a name. Under it stand its label, its head in the model, its weight in the loss and in the score, and its metrics
--- ("purchase.auc"); here is checked that they agree. A label alone is one task without a name, and most of this has nothing to say of it.
---
--- Keys of a table have no order in Lua. So tasks stand in the order in which the script made their labels; the last is the deepest.

local words = require "moonshelf.words"

local tasks = {}

local order, made = setmetatable({}, { __mode = "k" }), 0

--- Note when a label was made.
---@generic T: table
---@param label T
---@return T
function tasks.note(label)
  made = made + 1
  order[label] = made
  return label
end

---------------------------------------------------------------------------------------------------- checks of option values

-- Options that m.nn.heads has beside its heads.
local TAKEN = { times = true, input = true, share = true, freeze = true }

local function check_name(where, what, name)
  if type(name) ~= "string" or not name:match "^[%a_][%w_]*$" or #name > 40 then
    words.fail(where, "%s: a task's name is made of letters, digits and '_', up to 40 of them, got %s", what, words.describe(name))
  elseif TAKEN[name] then
    words.fail(where, "%s: '%s' is no name for a task: m.nn.heads has an option of that name", what, name)
  end
end

local function has_labels(value)
  for _, label in pairs(type(value) == "table" and not words.kind(value) and value or {}) do
    if words.kind(label) == "a label" or not words.known(label) then return true end
  end
  return false
end

--- label = m.label { ... }, or { cart = m.label { ... }, purchase = m.label { ... } } -> the label, or a list with the names as `task`.
function tasks.labels(where, what, value)
  if words.kind(value) == "a label" then return value end
  if not has_labels(value) then
    words.expect(where, what, 'a label (m.label { positive = "purchase", of = "view", within = "24h" }), or labels by their tasks', value)
  end
  local list = words.array {}
  for _, name in ipairs(words.keys(value)) do
    local label = value[name]
    if not words.known(label) then return label end
    check_name(words.option_place(where, name), what, name)
    if words.kind(label) ~= "a label" then
      words.expect(words.option_place(where, name), ("%s: %s"):format(what, name), "a label (m.label { ... })", label)
    end
    local task = { task = name }
    for key, field in pairs(label) do task[key] = field end
    order[task] = order[label]
    list[#list + 1] = task
  end
  if #list > 16 then words.fail(where, "%s: 16 tasks at most, got %d", what, #list) end
  table.sort(list, function(a, b) return order[a] == order[b] and a.task < b.task or order[a] < order[b] end)
  return list
end

--- { cart = 1, purchase = 2 }, by the names of tasks.
local function by_task(limits, example)
  return function(where, what, value)
    local out, sum = {}, 0
    if type(value) ~= "table" or words.kind(value) or next(value) == nil then words.expect(where, what, example, value) end
    for _, name in ipairs(words.keys(value)) do
      check_name(where, what, name)
      out[name] = words.number(limits)(words.option_place(where, name), ("%s: %s"):format(what, name), value[name])
      sum = sum + math.abs(out[name])
    end
    if sum == 0 then words.fail(where, "%s: one of them has to be other than 0", what) end
    return out
  end
end

tasks.weights = by_task({ min = 0 }, "numbers by the names of tasks, such as { cart = 1, purchase = 2 }")

local blend = by_task({}, 'a task such as "purchase", or weights such as { cart = 0.3, purchase = 1 }')

--- score = "purchase", or { cart = 0.3, purchase = 1 }: their weighted sum.
function tasks.score(where, what, value)
  if type(value) ~= "string" then return blend(where, what, value) end
  check_name(where, what, value)
  return { [value] = 1.0 }
end

---------------------------------------------------------------------------------------------------- what there is

--- The labels as a list, in order.
---@return table[]
function tasks.list(label)
  if not words.known(label) then return {} end
  return words.kind(label) == "a label" and { label } or label
end

local function names_of(list)
  local names = {}
  for i, label in ipairs(list) do names[i] = label.task end
  return names
end

--- The layer that a stack ends with; nil where it is not known.
local function last_of(layer)
  while layer and type(layer.layers) == "table" and (layer.type or "sequential") == "sequential" do
    if words.has_gaps(layer.layers) then return nil end
    layer = layer.layers[#layer.layers]
  end
  return layer
end

--- The layers that give what is scored: the last, or what each head ends with.
---@return table[]
function tasks.ends(model)
  local last, ends = last_of(model), {}
  if not last or last.type ~= "heads" then return { model.layers[#model.layers] } end
  if words.has_gaps(last.layers) then return {} end
  for i, head in ipairs(last.layers) do ends[i] = last_of(head) end
  return ends
end

---------------------------------------------------------------------------------------------------- checks of parts with each other

local function unknown(where, what, name, names)
  if #names == 0 then
    words.complain(where, "%s: there is no task '%s': the recipe has one label, without a name", what, name)
  else
    words.complain(where, "%s: there is no task '%s'%s", what, name, words.hint(name, names))
  end
end

--- Names that stand in one table or list and have to be tasks.
local function check_names(where, what, given, names)
  local known = {}
  for _, name in ipairs(names) do known[name] = true end
  for _, name in ipairs(given) do
    if not known[name] then unknown(where, what, name, names) end
  end
end

local function same_examples(a, b)
  if a.column or b.column then return a.column ~= nil and b.column ~= nil end
  local kinds = {}
  for _, kind in ipairs(a.of) do kinds[kind] = true end
  for _, kind in ipairs(b.of) do
    if not kinds[kind] then return false end
  end
  return #a.of == #b.of
end

local function examples_of(label)
  return label.column and ("what has a %s"):format(label.column) or ("of = %s"):format(table.concat(label.of, ", "))
end

local function check_heads(list, model)
  local heads, names = last_of(model), names_of(list)
  if not heads then return end
  if heads.type ~= "heads" then
    if #names > 0 then
      words.complain(heads.where, "the labels are of %s: the model must end with m.nn.heads { %s = ... }", table.concat(names, ", "),
        names[1])
    end
  elseif #names == 0 then
    words.complain(heads.where, "m.nn.heads: the recipe has one label, without a name: give label = { %s = m.label { ... } }",
      heads.names[1])
  elseif not words.has_gaps(heads.layers) then
    local has = {}
    for _, name in ipairs(heads.names) do has[name] = true end
    for _, label in ipairs(list) do
      if not has[label.task] then
        words.complain(label.where, "m.label: the model has no head '%s'%s", label.task, words.hint(label.task, heads.names))
      end
    end
    for _, name in ipairs(names) do has[name] = nil end
    for _, name in ipairs(words.keys(has)) do
      words.complain(heads.where, "m.nn.heads: the head '%s' has no label%s", name, words.hint(name, names))
    end
  end
end

--- The label that the score is judged by: that of the task which is the score, or the last.
local function judged(list, score)
  local name = score and next(score)
  if name and next(score, name) == nil then
    for i, label in ipairs(list) do
      if label.task == name then return i end
    end
  end
  return #list
end

--- Everything that has to agree; answers the labels for the plan, the judged one first, and the weights of the score.
---@param where string  of the recipe
---@param o table       its options
---@param training table
---@return table? label
---@return table? score
function tasks.arrange(where, o, training)
  local list = tasks.list(o.label)
  if #list == 0 then return nil end
  local names, score = names_of(list), words.known(o.score)
  for _, label in ipairs(list) do
    if not same_examples(list[1], label) then
      words.complain(label.where, "m.label: %s has other examples (%s) than %s (%s): tasks share their examples", label.task,
        examples_of(label), list[1].task, examples_of(list[1]))
    end
  end
  if words.known(o.model) then check_heads(list, o.model) end
  check_names(words.option_place(where, "score"), "score", score and words.keys(score) or {}, names)
  check_names(words.option_place(where, "weights"), "train: weights", words.keys(words.known(training.weights) or {}), names)
  local measured = {}
  for _, metric in ipairs(words.known(o.evaluate) or {}) do measured[#measured + 1] = metric:match "^(.-)%." end
  check_names(words.option_place(where, "evaluate"), "evaluate", measured, names)
  if #names == 0 then return list[1], nil end
  if #list > 1 and (training.loss == "bpr" or training.loss == "softmax") then
    words.complain(where, 'the loss %q compares scores of one task; several have "bce" or "mse"', training.loss)
  end
  local first = judged(list, score)
  for i, label in ipairs(list) do
    if i ~= first and label.negatives ~= 0 then
      words.complain(label.where, "m.label: negatives are drawn for all tasks alike: give them with %s, which is judged", list[first].task)
    end
  end
  local out = words.array { list[first] }
  for i, label in ipairs(list) do
    if i ~= first then out[#out + 1] = label end
  end
  return out, score or { [list[first].task] = 1.0 }
end

return tasks
