-- tries: a yield out of the policy
-- expect: skipped, error
-- says: outside a coroutine
coroutine.yield(1)
