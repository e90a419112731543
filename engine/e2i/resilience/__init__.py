"""Call tools and servers that may be down. In: calls. Out: results, or ``ToolUnavailable``."""
