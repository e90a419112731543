"""Runs SQL queries over tables, in a DuckDB that can do nothing else. See docs/adr/0043-sql-in-a-locked-engine.md."""
