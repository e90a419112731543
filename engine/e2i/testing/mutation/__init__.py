"""Mutants of a spec, which its tests should notice (``e2i test --mutate``).

``kinds`` yields the changes that can be made to a spec, ``choosing`` takes a seeded sample of valid ones,
``judging`` runs the cases on each, ``running`` divides the work between processes.
"""
