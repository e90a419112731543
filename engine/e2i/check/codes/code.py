"""What a problem's code stands for, as data: for ``e2i explain``, for SARIF rules, for the docs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of problem. ``bad`` has it, ``good`` is the same part of a spec without it.

    Both are whole specs but for ``version`` and ``name``, which are left out unless they are what is wrong.
    """

    code: str
    title: str
    why: str
    mend: str
    bad: str = ""
    good: str = ""
