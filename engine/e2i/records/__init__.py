"""Answer questions about recorded runs: comparisons, provenance, lineage.

In: documents of runs. Out: documents. Nothing here knows how they are stored or shown.
"""
