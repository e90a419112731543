"""Suggests the existing names that a mistyped name probably meant.

In: a name and candidates. Out: the nearest by edit distance, or a hint for a message.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache

_LONGEST = 200
"""Longer names are not typing errors. Comparing them would only cost time."""
_SHORTEST_PART = 3
"""Shorter substrings of names are not significant."""
_SHORTEST_CERTAIN = 4
"""In a shorter name, a wrong letter may make another word."""
_MANY = 100
"""With more candidates, only those whose start or end is most similar to the name are compared with it."""


class Names(Collection[str]):
    """Candidates for many mistyped names. They are sorted once, however often they are searched."""

    def __init__(self, names: Iterable[str]) -> None:
        self.known = dict.fromkeys(names)  # in the order passed

    def __contains__(self, name: object) -> bool:
        return name in self.known

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)

    @cached_property
    def orders(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """The names in alphabetical order, read from the front and from the back."""
        forwards = [(_folded(name)[0], name) for name in self.known]
        return sorted(forwards), sorted((folded[::-1], name) for folded, name in forwards)


def nearest(name: str, candidates: Iterable[str], n: int = 1) -> tuple[str, ...]:
    """Returns up to ``n`` candidates within a few typing errors of ``name``: nearest first, then alphabetically.

    One error is an inserted, missing, wrong or swapped character. Upper and lower case are equal. A third of the
    name's characters may be wrong, but never all of them: ``a`` is not near ``c``.
    """
    return tuple(candidate for _, candidate in _ranked(name, candidates, n))


def certain(name: str, candidates: Iterable[str]) -> str | None:
    """Returns the candidate that ``name`` must have meant. For fixes, not for hints.

    It is the nearest, at most two errors away, and no other is as near. At two errors, no other may be three away. In a
    short name, a replaced letter makes another word as often as a mistyped one: ``map`` is not ``max``.
    """
    match _ranked(name, candidates, 2):
        case [(best, only)] if best <= 2 and not _is_other_word(name, only):
            return only
        case [(best, only), (second, _)] if best < second and (best <= 1 or (best == 2 and second > 3)):
            return None if _is_other_word(name, only) else only
    return None


def _is_other_word(name: str, other: str) -> bool:
    """Returns True when a short name has other letters than a name of the same length."""
    same_length = len(name) == len(other) < _SHORTEST_CERTAIN
    return same_length and sorted(name.casefold()) != sorted(other.casefold())


def _ranked(name: str, candidates: Iterable[str], n: int) -> list[tuple[int, str]]:
    if not name or len(name) > _LONGEST:
        return []
    folded, letters = _folded(name)
    allowed = max(1, len(folded) // 3) if len(folded) > 1 else 0
    near = []
    for candidate in _alike(folded, candidates if isinstance(candidates, Names) else _names(frozenset(candidates))):
        other, theirs = _folded(candidate)
        # A lower bound of the distance that is cheap to compute: the letters that one has and the other lacks.
        apart = (letters & ~theirs).bit_count(), (theirs & ~letters).bit_count(), abs(len(other) - len(folded))
        if (least := max(apart)) <= allowed:
            near.append((_differing(folded, other), least, candidate))
    found: list[tuple[int, str]] = []
    # Most likely candidates first, so that the others need not be compared to the end.
    for differing, least, candidate in sorted(near, key=lambda one: (max(map(len, one[0])), one[1:])):
        limit = found[n - 1][0] if len(found) >= n else allowed
        if least <= limit and (distance := _distance(*differing, limit)) <= limit:
            found = sorted([*found, (distance, candidate)])
    return found[:n]


def hint(name: str, candidates: Iterable[str], *, most: int = 8) -> str | None:
    """Returns a hint for ``unknown NAME``: the nearest name, or all of them when they are few, or None.

    >>> hint("convertd", ["converted", "calls"])
    'did you mean "converted"?'
    """
    known = candidates if isinstance(candidates, Names) else set(candidates)
    if near := nearest(name, known):
        return f'did you mean "{near[0]}"?'
    if held := _held(name, known):
        return f'did you mean "{held}"?'
    if 0 < len(known) <= most:
        return "choose from: " + ", ".join(sorted(known))
    return None


def _held(name: str, candidates: Iterable[str]) -> str | None:
    """Returns the only candidate that contains the name, or with which the name begins or ends: ``auc`` for
    ``roc_auc``, ``load_step`` and ``step_load`` for ``load``.
    """
    if not _SHORTEST_PART <= len(name) <= _LONGEST:
        return None
    folded = name.casefold()
    found = [
        candidate
        for candidate in candidates
        if folded in (other := candidate.casefold())
        or (len(other) >= _SHORTEST_PART and (folded.startswith(other) or folded.endswith(f"_{other}")))
    ]
    return found[0] if len(found) == 1 else None


def contains_words(name: str, candidates: Iterable[str]) -> str | None:
    """Returns the only candidate with all words of a name of several words, in this order, and more words.

    >>> contains_words("expect_not_null", ["expect_values_to_not_be_null", "expect_unique"])
    'expect_values_to_not_be_null'
    """
    words = name.casefold().split("_")
    if len(words) < 3:
        return None
    found = [candidate for candidate in candidates if _is_within(words, candidate.casefold().split("_"))]
    return found[0] if len(found) == 1 else None


def _is_within(words: list[str], all_words: list[str]) -> bool:
    rest = iter(all_words)
    return all(word in rest for word in words)


def repeated(names: Iterable[str]) -> list[str]:
    """Returns the names that occur more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def few(names: Sequence[str], most: int = 10) -> str:
    """Returns the names as a list in a sentence, with the number of names left out."""
    listed = ", ".join(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most:,} more"


@lru_cache(maxsize=100_000)
def _folded(name: str) -> tuple[str, int]:
    """Returns the name in lower case, and its letters as bits of a number. A few letters share a bit."""
    folded = name.casefold()
    bits = 0
    for letter in folded:
        bits |= 1 << (ord(letter) & 63)
    return folded, bits


def _alike(folded: str, candidates: Names) -> Iterable[str]:
    """Returns the candidates next to the name in alphabetical order, read from the front and from the back.

    This way a thousand mistakes in a spec of a thousand steps do not take a million comparisons.
    """
    if len(candidates) <= _MANY:
        return candidates
    found: set[str] = set()
    for order, start in zip(candidates.orders, (folded, folded[::-1]), strict=True):
        index = bisect(order, (start, ""))
        found.update(candidate for _, candidate in order[max(0, index - _MANY // 4) : index + _MANY // 4])
    return found


@lru_cache(maxsize=16)
def _names(candidates: frozenset[str]) -> Names:
    return Names(candidates)


def _differing(a: str, b: str) -> tuple[str, str]:
    """Returns both texts without their common start and end. Their distance is the same."""
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    return a[start : len(a) - end], b[start : len(b) - end]


def _distance(a: str, b: str, limit: int) -> int:
    """Returns the optimal string alignment distance of ``a`` and ``b``, or ``limit + 1`` once it must exceed
    ``limit``.
    """
    before: list[int] = []
    above = list(range(len(b) + 1))
    for i, char in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            if char == other:
                cost = above[j - 1]
            else:
                cost = 1 + (above[j] if above[j] < row[-1] else row[-1])
                if above[j - 1] < cost:
                    cost = 1 + above[j - 1]
                if i > 1 and j > 1 and char == b[j - 2] and a[i - 2] == other and before[j - 2] < cost:
                    cost = 1 + before[j - 2]
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before, above = above, row
    return above[-1]
