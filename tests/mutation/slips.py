"""A name → the same name with a slip of the fingers, and whether it is certain which name was meant."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random


def slip(word: str, known: Iterable[str], rng: Random) -> tuple[str, bool] | None:
    """The word with one slip in it that makes none of the ``known`` names; None when there is no such slip.

    True: it is nearer to ``word`` than to any other known name. Of names of one or two letters nothing is left.
    """
    others = {name for name in known if name != word}
    typed = sorted({text for text in _slips(word) if text not in others and text != word})
    if not typed:
        return None
    chosen = rng.choice(typed)
    return chosen, len(word) > 2 and all(distance(chosen, other) > distance(chosen, word) for other in others)


def distance(a: str, b: str) -> int:
    """Slips between two words, upper and lower case taken as equal: wrong, missing, added and swapped letters."""
    a, b = a.casefold(), b.casefold()
    rows = [list(range(len(b) + 1))]
    for i, left in enumerate(a, 1):
        row = [i]
        for j, right in enumerate(b, 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def _slips(word: str) -> Iterable[str]:
    """Swapped, missing, doubled and neighbouring letters, and a wrong case; names stay names."""
    for index, letter in enumerate(word):
        before, after = word[:index], word[index + 1 :]
        if not letter.isalnum():
            continue
        if after[:1].isalnum() and after[0] != letter:
            yield before + after[0] + letter + after[1:]
        if len(word) > 3 and index:
            yield before + after
        yield before + letter + letter + after
        if letter.islower():
            yield before + _BESIDE[letter] + after
    if word.islower() and len(word) > 2:
        yield word[0].upper() + word[1:]


_BESIDE = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuioposdfghjklkxcvbnmn", strict=True))
"""A key of the keyboard → one beside it."""
