--- columns.lua - what is known of a table's columns before a row of it is read: their names, their types as far as they are declared,
--- and which of them something reads.
---
--- A recipe's rules change the columns of the events one after the other; the label, the features and the training then read what is left.
--- A table that is not known itself (a stand-in) has every column.

local words = require "moonshelf.words"

local columns = {}

---@class moonshelf.ColumnSet
---@field types table<string, string>  "string", "number", "time", or "any" where only the data can tell
---@field used table<string, true>
---@field made { name: string, where: string, what: string }[]  in the order in which they came
---@field owner string  "the events"
---@field unknown boolean

local DECLARED = { string = "string", number = "number", integer = "number", time = "time", time_s = "time", time_ms = "time",
  time_us = "time" }
local ROLES = { user = "string", item = "string", event = "string", time = "time" } -- what readers take them for

--- What a declared type comes to: "time_ms" is "time".
---@param declared string?
---@return string
function columns.type_of(declared) return declared and DECLARED[declared] or "any" end

--- The columns of a table word.
---@param source any
---@param owner string
---@return moonshelf.ColumnSet
function columns.of(source, owner)
  local set = { types = {}, used = {}, made = {}, owner = owner, unknown = words.known(source) == nil }
  for _, column in ipairs(set.unknown and {} or source.columns) do
    set.types[column.name] = column.type and columns.type_of(column.type) or ROLES[column.name] or "any"
    set.made[#set.made + 1] = { name = column.name, where = column.where }
  end
  return set
end

--- Note that a column is read; wrong where there is none of that name.
---@param set moonshelf.ColumnSet
---@param where string
---@param what string   the word that reads it
---@param name string
---@param lead? string  "the events have"
---@return boolean
function columns.need(set, where, what, name, lead)
  set.used[name] = true
  if set.unknown or set.types[name] then return true end
  words.complain(where, "%s: %s no column '%s'%s", what, lead or set.owner .. " have", name, words.hint(name, words.keys(set.types)))
  return false
end

local HOLDS = { string = "strings", number = "numbers", time = "times" }

--- The same, and wrong as well where the column is declared to hold something else. What is not declared, the data will tell.
---@param set moonshelf.ColumnSet
---@param where string
---@param what string
---@param name string
---@param ... string  the types that will do; the first is advised
function columns.want(set, where, what, name, ...)
  if not columns.need(set, where, what, name) then return end
  local kind = set.types[name]
  if not HOLDS[kind] then return end
  for _, fits in ipairs { ... } do
    if kind == fits then return end
  end
  words.complain(where, "%s: the column '%s' of %s holds %s, and %s are needed", what, name, set.owner, HOLDS[kind], HOLDS[(...)])
end

--- A new column; wrong where there is one already.
---@param set moonshelf.ColumnSet
---@param where string
---@param what string
---@param name string
---@param kind string
function columns.add(set, where, what, name, kind)
  if set.types[name] then words.complain(where, "%s: %s have a column '%s' already", what, set.owner, name) end
  set.types[name] = kind
  set.made[#set.made + 1] = { name = name, where = where, what = what }
end

--- Warn of the columns that nothing reads.
---@param set moonshelf.ColumnSet
function columns.warn_unused(set)
  for _, column in ipairs(set.made) do
    if set.types[column.name] and not set.used[column.name] then
      if column.what then
        words.warn(column.where, "%s adds the column '%s' to %s, and nothing reads it", column.what, column.name, set.owner)
      else
        words.warn(column.where, "nothing reads the column '%s' of %s", column.name, set.owner)
      end
    end
  end
end

return columns
