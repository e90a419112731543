"""Render the record of a run as one self-contained HTML page."""

from e2i.report.page import build

__all__ = ["build"]
