"""Find out which marks numbers are written with: 1.5 or 1,5, and 1,000 or 1.000. In: cells by column. Out: marks."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping

from e2i.spec.suggest import few
from e2i.tools.data.texts import MARKERS
from e2i.tools.data.unclear import UnclearError

WORD = re.compile(r"[^\W\d_]{2}")
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?(\d+|[1-9]\d{0,2}(\.\d{3})+),\d+")
THOUSANDS_POINT = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?")
THOUSANDS_COMMA = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
"""Groups do not begin with a zero: 0,793 has a decimal comma."""


def found(
    cells: Mapping[str, list[str]], decimal: str | None, thousands: str | None, auto: bool, shown: str
) -> tuple[str, str | None, list[str]]:
    """Return decimal and thousands mark, and notes. What is stated is taken. Raises UnclearError."""
    if decimal is not None or thousands is not None or not auto:
        return decimal or ("," if thousands == "." else "."), thousands, []
    evidence = {name: _reading(values) for name, values in cells.items()}
    unclear = [name for name, reading in evidence.items() if reading == "either"]
    readings = {reading for reading in evidence.values() if reading}
    sure = readings - {"either"}
    if len(sure) > 1 or (unclear and not sure):
        column = next(name for name, reading in evidence.items() if reading)
        raise UnclearError(
            f'{shown}: the commas in column "{column}" may be decimal marks or separate thousands, '
            f"such as {_example(cells[column])}",
            'state `decimal: ","` or `thousands: ","`, or declare the column a string',
            "unclear-dialect",
        )
    grouped = next((name for name, values in cells.items() if _has_groups(values)), None)
    if grouped is not None and "decimal" not in sure:
        raise UnclearError(
            f'{shown}: the points in column "{grouped}" may separate thousands, or be part of a text, such as '
            f"{next(cell for cell in cells[grouped] if cell.count('.') > 1)}",
            'state `thousands: "."`, or declare the column a string',
            "unclear-dialect",
        )
    if "decimal" in sure:
        points = any(THOUSANDS_POINT.fullmatch(cell) for name in evidence for cell in cells[name] if evidence[name])
        whole = any(_all(THOUSANDS_POINT, values) for values in cells.values())
        mark = "." if points or whole else None
        return ",", mark, ["decimals have a comma" + (", thousands a point" if mark else "")]
    if "thousands" in sure:
        return ".", ",", ["thousands have a comma"]
    return ".", None, []


def sure_texts(cells: Mapping[str, list[str]], others: Container[str]) -> tuple[str, ...]:
    """Return the columns with a value that is no number, boolean or missing value: whatever follows, they are texts.

    ``others`` are values that stand for a boolean, or are missing.
    """
    special = {"true", "false", "inf", "infinity", *(marker.lower() for marker in MARKERS)}
    return tuple(
        name
        for name, values in cells.items()
        if any(WORD.search(cell) and cell not in others and cell.lstrip("+-").lower() not in special for cell in values)
    )


def lost_zeros(cells: Mapping[str, list[str]]) -> list[str]:
    """Return a note of the columns of digits, such as postal codes, whose leading zeros are lost as numbers."""
    padded = [
        name
        for name, values in cells.items()
        if any(value[0] == "0" and len(value) > 1 for value in values) and all(value.isdecimal() for value in values)
    ]
    if not padded:
        return []
    return [f"leading zeros of numbers are lost in {few(padded)}: declare such a column a string if they count"]


def _reading(cells: list[str]) -> str | None:
    """Return what the commas in a column of numbers are: decimal, thousands or either. None: no numbers with commas."""
    with_comma = [cell for cell in cells if "," in cell]
    if not with_comma:
        return None
    as_decimal = all(
        DECIMAL_COMMA.fullmatch(cell) or cell.lstrip("+-").isdigit() or THOUSANDS_POINT.fullmatch(cell)
        for cell in cells
    )
    as_thousands = all(THOUSANDS_COMMA.fullmatch(cell) or PLAIN.fullmatch(cell) for cell in cells)
    if as_decimal and as_thousands:
        return "either"
    return "decimal" if as_decimal else "thousands" if as_thousands else None


def _all(pattern: re.Pattern[str], cells: Iterable[str]) -> bool:
    values = list(cells)
    return bool(values) and all(pattern.fullmatch(cell) for cell in values)


def _has_groups(cells: list[str]) -> bool:
    """Return True when all cells can be numbers with points between thousands, and one has several."""
    several = any(cell.count(".") > 1 for cell in cells)
    return several and all(THOUSANDS_POINT.fullmatch(cell) or cell.lstrip("+-").isdigit() for cell in cells)


def _example(cells: list[str]) -> str:
    return next(cell for cell in cells if "," in cell)
