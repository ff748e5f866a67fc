"""Contract suites, one for each role: inherit one to prove that a service of your own plays it."""
