"""Rehearsals of specs, ``e2i rehearse``: the whole pipeline on a sample, or on no rows, in a throw-away store.

In: a spec and the size of the sample. Out: what failed, with its location in the spec, and what was not exercised.
``running`` is the route of a rehearsal. The run is one of the real engine: ``stand_in`` is its executor, which samples
the outputs of sources (``sampling``) and sends effects to stand-ins.
"""
