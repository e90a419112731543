"""What is recorded of a run goes in; one HTML page that needs nothing else comes out."""

from e2i.report.page import build

__all__ = ["build"]
