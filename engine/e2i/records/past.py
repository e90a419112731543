"""A past run with the results of its steps, as the other modules of this package take it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from e2i.planning.inputs import Components
from e2i.store.past import KeptResult, RecordedRun


class PastRun(Struct, frozen=True):
    """A recorded run. ``results``: the kept results of its steps, by fingerprint; reused ones are of other runs.

    ``earlier``: inputs of the kept results of its actions that were made before it by other runs.
    """

    run: RecordedRun
    results: Mapping[str, KeptResult]
    earlier: tuple[Components, ...] = ()
