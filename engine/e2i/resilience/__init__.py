"""Call tools that may be down, and deliver telemetry without loss. In: calls, entries. Out: results, or errors."""
