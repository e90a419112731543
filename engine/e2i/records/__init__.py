"""Runs of the journal go in; what people and programs ask about them comes out: comparisons, provenance, lineage.

Documents in, documents out: nothing here knows how they are stored, or how they are shown.
"""
