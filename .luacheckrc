std = "lua54"
max_line_length = 140
files["tests/lua"] = { max_line_length = 160 } -- a case a line
files["lua/moonshelf/types.lua"] = { ignore = { "212", "241" } } -- declarations only: unused arguments, tables that are only filled
files["tests/hostile"] = { globals = { "_ENV" }, read_globals = { "slate", "ctx", "m", "T", "kept" }, only = { "0" } } -- wrong by design
