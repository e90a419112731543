"""Render the record of a run as one self-contained HTML page."""
