"""The steps that a run really has: included specs and matrix combinations are written out.

In: a loaded spec, parameter values. Out: ``Expanded``, or problems.
"""
