"""Run recorded runs again in a throw-away store: is each step deterministic (``e2i verify``), and which changes between
two runs moved a metric (``e2i why``)?

``recorded`` reads what a run was, ``stage`` is the throw-away store, ``verifying`` and ``explaining`` are the routes.
"""
