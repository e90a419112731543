"""The description of a problem or error code, as data for ``e2i explain``, SARIF rules and the docs."""

from __future__ import annotations

from msgspec import Struct


class Code(Struct, frozen=True):
    """One type of problem or error. ``why`` explains what it means, ``fix`` what to do.

    The spec ``bad`` has the problem. ``good`` is the same spec without it. Both are complete except for ``version`` and
    ``name``, which are left out unless the problem is in them. Where no spec can show the problem, ``example``
    describes how it arises.
    """

    code: str
    title: str
    why: str
    fix: str
    bad: str = ""
    good: str = ""
    example: str = ""
