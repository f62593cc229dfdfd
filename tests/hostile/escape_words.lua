-- tries: the words of the module
-- expect: skipped, error
-- says: read-only
m.policy.boost = nil
