--- split.lua - m.split: which examples train, which validate, which test.

local words = require "moonshelf.words"

local split = {}

local WORDS = { time = "by_time", user = "by_user", random = "random", ratio = "ratio" }

local function make(by)
  local word = "m.split." .. WORDS[by]
  return function(parts)
    local where = words.where(word)
    words.list(where, word, parts, "a list { train, validation, test }")
    if #parts > 3 or #parts < 2 then
      words.fail(where, "%s: 2 or 3 parts { train, validation, test }, got %d", word, #parts)
    end
    local out, sum = words.array {}, 0
    for i = 1, 3 do
      out[i] = parts[i] == nil and 0.0 or words.number { min = 0, max = 1 }(where, ("%s: part %d"):format(word, i), parts[i])
      sum = sum + out[i]
    end
    if math.abs(sum - 1) > 1e-6 then words.fail(where, "%s: the parts must sum to 1, they sum to %.6g", word, sum) end
    if out[1] == 0 then words.fail(where, "%s: the training part must not be 0", word) end
    return words.new("a split", where, { by = by, parts = out })
  end
end

--- The first part of the time trains, the next validates, the last tests. What a shop should use.
---@type fun(parts: number[]): moonshelf.Split
split.by_time = make "time"

--- At random, by the recipe's seed.
---@type fun(parts: number[]): moonshelf.Split
split.random = make "random"

--- A user is on one side with all that they did, by a hash of their id: the same side whatever the seed, the data and the machine.
---@type fun(parts: number[]): moonshelf.Split
split.by_user = make "user"

--- Each user's examples in random order by the recipe's seed, cut by these shares: RecBole's protocol, to compare with its numbers.
---@type fun(parts: number[]): moonshelf.Split
split.ratio = make "ratio"

--- Each user's last example tests, the one before it validates, all others train; users with fewer than 3 train only.
---@param options? {}
---@return moonshelf.Split
function split.leave_one_out(options)
  local where = words.where("m.split.leave_one_out")
  words.options(where, "m.split.leave_one_out", options, {})
  return words.new("a split", where, { by = "leave_one_out" })
end

return words.module("m.split", split)
