-- tries: a to-be-closed variable that cannot be closed
-- expect: skipped, error
-- says: non-closable
local a <close> = {}
