"""Executes pure steps on the workers of a dask.distributed cluster.

The engine's side is ``executor``, the worker's side ``node``.
``placement`` decides which calls may leave this machine, ``dispatch`` follows those that did, ``messages`` is all that
passes between the two sides, ``exchange`` moves inputs and results through shared storage, and ``connection`` is the
only module that knows Dask's client. ``local`` runs a cluster on this machine, ``health`` is for ``e2i doctor``.

On a node, ``calls`` executes a call in a slot (``slots``): a worker process of e2i under its guardian, as at home.
"""
