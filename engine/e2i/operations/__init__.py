"""What the operator of a store learns about runs: hooks, the metrics file, the log, attempts of whole runs."""
