"""What the code of a problem or an error stands for, as data: for ``e2i explain``, for SARIF rules, for the docs."""

from __future__ import annotations

from msgspec import Struct


class Code(Struct, frozen=True):
    """One kind of problem, or of error. ``why`` is what it means, ``fix`` what to do.

    A spec ``bad`` has the problem, ``good`` is the same without it: both whole, but for ``version`` and ``name``, which
    are left out unless they are what is wrong. Where no spec can show it, ``example`` says how it comes about.
    """

    code: str
    title: str
    why: str
    fix: str
    bad: str = ""
    good: str = ""
    example: str = ""
