-- tries: the collector
-- expect: skipped, error
-- says: not available
collectgarbage("stop")
