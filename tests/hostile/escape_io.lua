-- tries: files
-- expect: skipped, error
-- says: not available
io.open("/etc/passwd")
