"""Where all state lives, durably: the journal of runs, results and telemetry in SQLite, and artifacts by content."""
