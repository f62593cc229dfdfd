-- tries: the debug library
-- expect: skipped, error
-- says: not available
debug.sethook()
