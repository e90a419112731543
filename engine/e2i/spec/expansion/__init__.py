"""Expands a spec into the actual steps of a run: included specs and matrix combinations are written out.

In: a loaded spec, parameter values. Out: ``Expanded``, or problems.
"""
