"""Signed approvals of plans: key files, records, and what a run needs before it starts."""
