"""Store all state durably: runs, results and telemetry in SQLite, and artifacts by content."""
