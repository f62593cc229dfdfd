-- tries: globals in a policy
-- expect: skipped, error
-- says: read-only
-- at: policy, gate
counter = 1
