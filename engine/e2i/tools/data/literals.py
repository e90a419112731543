"""Convert the literal of a filter to the type of its column, exactly. In: an Arrow type as text. Out: a value.

Works without pyarrow, so that a plan refuses what a run would refuse. Numbers and times become a whole number of the
type's smallest steps: 19.99 is 1999 steps of ``decimal128(10, 2)``.
"""

from __future__ import annotations

import math
import re
import struct
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from msgspec import Struct

Scalar = str | bool | int | float
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})(?:[T ](?P<clock>\d{2}:\d{2}(?::\d{2})?)(?:\.(?P<fraction>\d{1,9}))?"
    r"(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?"
)
CLOCK = re.compile(r"(\d{2}):(\d{2})(?::(\d{2}))?(?:\.(\d{1,9}))?")
INTEGER = re.compile(r"(u?)int(8|16|32|64)")
DECIMAL = re.compile(r"decimal(?:32|64|128|256)\((\d+), (-?\d+)\)")


class NoFormError(ValueError):
    """The literal is no value of the column's type; the text says why."""


class Steps(Struct, frozen=True):
    """A literal in the steps of an ordered type. ``lowest`` and ``highest`` are the least and greatest values."""

    position: Fraction
    lowest: int
    highest: int

    def whole(self) -> int:
        """Return the literal as a value. Raises NoFormError when it lies between two values, or beyond all."""
        if self.position.denominator != 1:
            raise NoFormError("it has more digits than the column can have")
        if not self.lowest <= self.position <= self.highest:
            raise NoFormError("it is out of the column's range")
        return int(self.position)


def convert(kind: str, value: Scalar) -> Steps | str | bytes | bool | float:
    """Return the literal as a value of the Arrow type ``kind``. Raises NoFormError when there is none."""
    if kind.startswith("dictionary<values="):
        return convert(kind.removeprefix("dictionary<values=").partition(", indices=")[0], value)
    if kind in ("string", "large_string"):
        return _text(value)
    if kind == "bool":
        return _truth(value)
    if kind == "binary" or kind.startswith("fixed_size_binary["):
        return _bytes(kind, _text(value))
    if kind in ("double", "float", "halffloat"):
        return _float(kind, value)
    if found := INTEGER.fullmatch(kind):
        bits = int(found[2])
        low, high = (0, 2**bits - 1) if found[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return Steps(_number(value), low, high)
    if found := DECIMAL.fullmatch(kind):
        most = 10 ** int(found[1]) - 1
        return Steps(_number(value) * Fraction(10) ** int(found[2]), -most, most)
    if kind.startswith("timestamp["):
        unit = kind.removeprefix("timestamp[").partition("]")[0].partition(",")[0]
        return Steps(_moment(value) * PER_SECOND[unit], -(2**63) + 1, 2**63 - 1)
    if kind.startswith("date"):
        return Steps(_moment(value) / 86_400, -(2**31), 2**31 - 1)
    if kind.startswith("time"):
        per_second = PER_SECOND[kind.partition("[")[2].rstrip("]")]
        return Steps(_clock(value) * per_second, 0, 86_400 * per_second - 1)
    raise NoFormError("only is_null and not_null apply to it")


def _text(value: Scalar) -> str:
    if not isinstance(value, str):
        raise NoFormError("its values are texts")
    return value


def _truth(value: Scalar) -> bool:
    if not isinstance(value, bool):
        raise NoFormError("its values are true and false")
    return value


def _bytes(kind: str, text: str) -> bytes:
    content = text.encode()
    width = kind.partition("[")[2].rstrip("]")
    if width and len(content) != int(width):
        raise NoFormError(f"its values have {width} bytes")
    return content


def _number(value: Scalar) -> Fraction:
    """Return a number as it is written: 0.1 is a tenth, not the float nearest to it."""
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise NoFormError("its values are finite numbers")
    try:
        return Fraction(Decimal(value if isinstance(value, str) else repr(value)))
    except (InvalidOperation, ValueError, OverflowError):
        raise NoFormError("its values are numbers") from None


def _float(kind: str, value: Scalar) -> float:
    """Return the float of that size which is written like the number. Whole numbers must have one of their own."""
    if isinstance(value, (bool, str)):
        raise NoFormError("its values are numbers")
    code = {"double": "<d", "float": "<f", "halffloat": "<e"}[kind]
    try:
        near: float = struct.unpack(code, struct.pack(code, value))[0]
    except OverflowError:
        raise NoFormError("it is out of the column's range") from None
    if isinstance(value, int) and near != value:
        raise NoFormError("the column's floats are not exact there")
    return near


def _moment(value: Scalar) -> Fraction:
    """Return an ISO 8601 time in seconds since 1970, UTC unless it has an offset."""
    found = TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise NoFormError("its values are times such as 2024-01-31 or 2024-01-31T12:00:00Z")
    zone = (found["zone"] or "Z").replace("Z", "+00:00")
    try:
        whole = datetime.fromisoformat(f"{found['date']}T{found['clock'] or '00:00'}{zone}")
    except ValueError as error:
        raise NoFormError(str(error)) from None
    since = whole.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return Fraction(since.days * 86_400 + since.seconds) + _fraction(found["fraction"])


def _clock(value: Scalar) -> Fraction:
    found = CLOCK.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[1]) > 23 or int(found[2]) > 59 or int(found[3] or 0) > 59:
        raise NoFormError("its values are times of day such as 09:30 or 09:30:15")
    return Fraction(int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3] or 0)) + _fraction(found[4])


def _fraction(digits: str | None) -> Fraction:
    return Fraction(int(digits), 10 ** len(digits)) if digits else Fraction(0)
