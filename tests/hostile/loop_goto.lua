-- tries: a loop of gotos
-- expect: skipped, budget
::a:: goto a
