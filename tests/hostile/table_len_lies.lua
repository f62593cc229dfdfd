-- tries: a __len that lies to the table library
-- expect: skipped, error
-- says: __len
table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 1)
