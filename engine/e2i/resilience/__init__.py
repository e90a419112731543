"""Calls and telemetry for a tool that may be down go in; answers, or ``ToolUnavailable``, come out; nothing is lost."""
