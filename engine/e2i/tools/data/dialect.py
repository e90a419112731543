"""Find out how a CSV file is written: separator, quotes, header, decimal mark. In: its first bytes. Out: a ``Layout``.

A plan and a run use this one function on the same bytes, so they agree. What is stated is not guessed. What was found
is noted, and two plausible readings are a refusal. Nothing heavy is imported.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct, structs

from e2i.tools.data import marks
from e2i.tools.data.encodings import decoded
from e2i.tools.data.unclear import UnclearError

HEAD = 1 << 16
"""Bytes that are looked at."""
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SPREADSHEET = re.compile(r"sep=([^\r\n])\r?\n")
"""The first line of a file that a spreadsheet reads with another separator."""
ROW_NAME = "row_name"
"""Name of a first column without one. It is read only when ``columns`` asks for it."""
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
PART = re.compile(r"[+-]?\d+")
DATE = re.compile(r"\s*\d{4}-\d{2}-\d{2}([T ][\d:.]+(Z|[+-][\d:]+)?)?\s*")


class Stated(Struct, frozen=True):
    """What the parameters say of a file. None: to be found out, or the usual where ``auto`` is False."""

    encoding: str = "utf-8"
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    header: bool | None = None
    skip: int = 0
    comment: str | None = None
    auto: bool = True
    lenient: bool = False
    """True when rows with another number of fields are left out and reported."""
    usual: str = ","
    """The separator that the file's suffix stands for."""
    names: tuple[str, ...] = ()
    """Names of the fields of a file without header."""
    texts: frozenset[str] = frozenset()
    """Columns that are declared to be texts."""
    typed: frozenset[str] = frozenset()
    """Columns with a declared type."""
    others: frozenset[str] = frozenset()
    """Values that are missing, or stand for a boolean."""


class Layout(Struct, frozen=True):
    """How a file is written."""

    encoding: str
    delimiter: str
    quote: str | None
    escape: str | None
    decimal: str
    thousands: str | None
    comment: str | None
    names: tuple[str, ...]
    """A name for each field of a row."""
    row_names: bool
    """True when the first field of a row has no name in the header."""
    trailing: bool
    """True when the last field has no name and no values: each row ends with a separator."""
    start: int
    """Where the rows begin, in bytes of UTF-8 without a byte order mark."""
    lines: int
    """Lines before the rows."""
    notes: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    """Columns that are certain to be texts, from the first rows."""

    @property
    def known(self) -> tuple[str, ...]:
        """All fields that can be asked for."""
        return self.names[: len(self.names) - self.trailing]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table, unless others are asked for."""
        return self.names[self.row_names : len(self.names) - self.trailing]


class Row(Struct, frozen=True):
    """A record: its fields, its line, and where the next one begins in the text."""

    fields: list[str]
    line: int
    end: int
    quoted: bool
    """True when its first field is quoted."""


def layout(head: bytes, stated: Stated, shown: str, *, whole: bool) -> Layout:
    """Return how the file is written. ``whole``: the head is the entire file. Raises UnclearError."""
    encoding, text, notes = decoded(head, stated.encoding, shown, whole=whole)
    if stated.auto and not stated.skip and (named := SPREADSHEET.match(text)):
        stated = structs.replace(stated, skip=1, delimiter=stated.delimiter or named[1])
        notes.append(f"line 1 names the separator {SEPARATORS.get(named[1], repr(named[1]))}")
    start, line = _after_skipped(text, stated.skip)
    start, line, preface = _preface(text, start, line, stated, whole=whole)
    notes += preface
    if whole and not text[start:].strip():
        raise UnclearError(f"{shown} has no header and no rows", code="empty-table")
    delimiter, quote, escape, rows = _separator(text, start, line, stated, shown, whole=whole)
    if not rows and not whole:
        raise UnclearError(f"the first row of {shown} is too long", code="header-too-long")
    if not rows:
        raise UnclearError(f"{shown} has no header and no rows", code="empty-table")
    if stated.delimiter is None and delimiter != stated.usual:
        notes.append(f"fields are separated by {SEPARATORS.get(delimiter, repr(delimiter))}")
    if quote != (stated.quote or '"') or escape != stated.escape:
        notes.append(f"quotes are {quote}" + (f", escaped by {escape}" if escape else ""))
    header = _is_header(rows, stated, shown)
    data = rows[1:] if header else rows
    names, row_names, trailing, more = _names(rows[0], data, header, stated, shown)
    notes += more
    if len(names) == 1 and (held := [mark for mark in SEPARATORS if mark in names[0]]):
        notes.append(f"one column is read, whose name holds a {SEPARATORS[held[0]]}")
    _check_counts(data, len(names), stated, shown, line_of_names=rows[0].line if header else None)
    cells = _cells(data, names, stated.texts)
    notes += marks.lost_zeros({name: values for name, values in cells.items() if name not in stated.typed})
    decimal, thousands, more = marks.found(cells, stated.decimal, stated.thousands, stated.auto, shown)
    begins = rows[0] if header else None
    return Layout(
        encoding, delimiter, quote, escape, decimal, thousands, stated.comment, names, row_names, trailing,
        len(text[: begins.end if begins else start].encode()),
        _line_after(text, begins.end) if begins else line - 1, (*notes, *more),
        () if stated.lenient else marks.sure_texts(cells, stated.others),
    )  # fmt: skip


def records(
    text: str, start: int, line: int, delimiter: str, quote: str | None, escape: str | None, comment: str | None = None
) -> Iterator[Row]:
    """Yield the non-empty records of a text from ``start`` on, which is in line ``line``. Raises csv.Error."""
    lines = io.StringIO(text[start:], newline="")
    end = start
    for fields, number in rows(lines, delimiter, quote, escape, comment):
        begin, end = end, start + lines.tell()
        quoted = bool(quote) and text[begin : begin + 100].lstrip().startswith(str(quote))
        yield Row(fields, line + number - 1, end, quoted)


def rows(
    lines: Iterable[str], delimiter: str, quote: str | None, escape: str | None, comment: str | None
) -> Iterator[tuple[list[str], int]]:
    """Yield each non-empty record with the number of its first line. Raises csv.Error."""
    counted = _Lines(lines, quote, comment)
    reader = csv.reader(
        counted, delimiter=delimiter, quotechar=quote or None, escapechar=escape, strict=True,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )  # fmt: skip
    for fields in reader:
        if fields:
            yield fields, counted.first
        counted.first = 0


class _Lines:
    """The lines of a text, without those that begin with the comment mark outside quotes. ``first``: of the record."""

    def __init__(self, lines: Iterable[str], quote: str | None, comment: str | None) -> None:
        self._lines = iter(lines)
        self._quote = quote
        self._comment = comment
        self._number = 0
        self._open = False
        self.first = 0

    def __iter__(self) -> Iterator[str]:
        for text in self._lines:
            self._number += 1
            if self._comment and not self._open and text.startswith(self._comment):
                continue
            if self._quote and text.count(self._quote) % 2:
                self._open = not self._open
            self.first = self.first or self._number
            yield text


def is_number(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None


def _after_skipped(text: str, skip: int) -> tuple[int, int]:
    """Return the position and the number of the first line after the skipped ones."""
    lines = io.StringIO(text, newline="")
    for _ in range(skip):
        lines.readline()
    return lines.tell(), 1 + skip


def _preface(text: str, start: int, line: int, stated: Stated, *, whole: bool) -> tuple[int, int, list[str]]:
    """Leave out lines that begin with #, above the header, unless they have as many fields as the next line."""
    if not stated.auto or stated.comment:
        return start, line, []
    lines = io.StringIO(text[start:], newline="").readlines()
    count = 0
    while count < len(lines) and (lines[count].startswith("#") or not lines[count].strip()):
        count += 1
    while count and not lines[count - 1].strip():
        count -= 1
    rest = [item for item in lines[count:] if item.strip()]
    if not count or not rest:
        return start, line, []
    last = lines[count - 1]
    separators = [stated.delimiter] if stated.delimiter else list(SEPARATORS)
    if any(last.count(mark) == rest[0].count(mark) > 0 for mark in separators):
        count -= 1  # the header itself
    if not count:
        return start, line, []
    return start + sum(map(len, lines[:count])), line + count, [f"{count} lines above the header are left out"]


def _separator(
    text: str, start: int, line: int, stated: Stated, shown: str, *, whole: bool
) -> tuple[str, str | None, str | None, list[Row]]:
    """Return separator, quote and escape, and the records of the head. Raises UnclearError."""
    quote = stated.quote if stated.quote is not None else '"'
    usual = stated.delimiter or stated.usual
    if not stated.auto:
        return usual, quote or None, stated.escape, _parsed(text, start, line, usual, quote, stated, whole, shown)
    separators = [stated.delimiter] if stated.delimiter else list(dict.fromkeys([usual, *SEPARATORS]))
    quotes = [quote] if stated.quote is not None else [quote, "'"]
    escapes = [None, "\\"] if stated.escape is None and '\\"' in text else [stated.escape]
    readings: dict[tuple[str, str, str | None], list[Row]] = {}
    for escape in escapes:
        for mark in quotes:
            for separator in separators:
                try:
                    rows = _parsed(text, start, line, separator, mark, stated, whole, shown, escape)
                except UnclearError:
                    continue
                if _is_even(rows) and (mark == quote or _uses(text, mark, separator)):
                    readings[separator, mark, escape] = rows
    different = _different(readings)
    if len(different) > 1:
        raise _ambiguous(different, quotes, shown)
    if different:
        separator, mark, escape = different[0]
        return separator, mark or None, escape, readings[different[0]]
    rows = _parsed(text, start, line, usual, quote, stated, whole, shown)
    _refuse_spaces(rows, stated, shown)
    _refuse_titles(rows, stated, shown)
    return usual, quote or None, stated.escape, rows


def _parsed(
    text: str, start: int, line: int, delimiter: str, quote: str, stated: Stated, whole: bool, shown: str,
    escape: str | None = None,
) -> list[Row]:  # fmt: skip
    """Return the complete records of the head. Raises UnclearError for quotes that do not match."""
    rows: list[Row] = []
    try:
        for row in records(text, start, line, delimiter, quote, escape or stated.escape, stated.comment):
            rows.append(row)
    except csv.Error as error:
        if whole or not str(error).startswith(("unexpected end", "field larger")):
            at = rows[-1].line + 1 if rows else line
            raise UnclearError(
                f"{shown}, after line {at - 1}: {error}", "state `quote` or `escape`, or correct the line"
            ) from error
    return rows if whole or not rows or rows[-1].end < len(text) else rows[:-1]


def _is_even(rows: Sequence[Row]) -> bool:
    """Return True when a reading has several fields, as many in nearly all rows as in the header, or one more."""
    if not rows or len(rows[0].fields) < 2:
        return False
    first = len(rows[0].fields)
    counts = Counter(len(row.fields) for row in rows[1:])
    if not counts:
        return True
    most, times = counts.most_common(1)[0]
    return most - first in (0, 1) and times * 10 >= 9 * (len(rows) - 1)


def _uses(text: str, quote: str, separator: str) -> bool:
    """Return True when fields begin and end with the quote."""
    return (
        re.search(rf"(^|{re.escape(separator)}){quote}[^\n]*?{quote}($|{re.escape(separator)})", text, re.M) is not None
    )


def _different(
    readings: dict[tuple[str, str, str | None], list[Row]],
) -> list[tuple[str, str, str | None]]:
    """Return the readings that give different fields, those with other marks than the usual last."""
    kept: list[tuple[str, str, str | None]] = []
    for key, rows in readings.items():
        fields = [row.fields for row in rows]
        if not any(fields == [row.fields for row in readings[other]] for other in kept):
            kept.append(key)
    return kept


def _ambiguous(readings: Sequence[tuple[str, str, str | None]], quotes: Sequence[str], shown: str) -> UnclearError:
    separators = {SEPARATORS.get(item[0], item[0]): None for item in readings}
    if len(separators) > 1:
        return UnclearError(
            f"{shown} can be read with {' or '.join(separators)} between fields",
            "state `delimiter`",
            "unclear-dialect",
        )
    marks_used = {item[1]: None for item in readings}
    if len(marks_used) > 1:
        return UnclearError(
            f"{shown} can be read with {' or '.join(marks_used)} as quotes", "state `quote`", "unclear-dialect"
        )
    return UnclearError(
        f"{shown} can be read with and without backslash as escape", "state `escape`", "unclear-dialect"
    )


def _refuse_spaces(rows: Sequence[Row], stated: Stated, shown: str) -> None:
    """Refuse one column of lines that are several numbers with spaces between."""
    if stated.delimiter or len(rows) < 2 or any(len(row.fields) > 1 for row in rows):
        return
    lines = [row.fields[0].split() for row in rows]
    if len(lines[0]) > 1 and all(len(item) > 1 and any(map(is_number, item)) for item in lines[1:]):
        raise UnclearError(
            f"{shown} seems to have spaces between fields",
            "state `delimiter: ' '` for single spaces; convert a file with aligned columns",
            "unclear-dialect",
        )


def _refuse_titles(rows: Sequence[Row], stated: Stated, shown: str) -> None:
    """Refuse one column of lines that have several fields, all as many, below lines that have one."""
    if stated.delimiter or any(len(row.fields) > 1 or row.quoted for row in rows):
        return
    for mark, name in SEPARATORS.items():
        counts = [row.fields[0].count(mark) for row in rows if row.fields]
        titles = next((index for index, count in enumerate(counts) if count), 0)
        below = counts[titles:]
        if titles and len(below) > 1 and len(set(below)) == 1:
            skipped = rows[titles].line - 1
            raise UnclearError(
                f"{shown} seems to have a title above its header: from line {skipped + 1} on, lines have "
                f"{below[0] + 1} fields separated by {name}",
                f'state `skip: {skipped}` if so, or `delimiter: ","` for one column',
                "unclear-dialect",
            )


def _is_header(rows: Sequence[Row], stated: Stated, shown: str) -> bool:
    """Return whether the first row has names. Raises UnclearError when it may as well be data."""
    if stated.header is not None or not stated.auto:
        return stated.header is not False
    first, data = rows[0].fields, [row.fields for row in rows[1:] if len(row.fields) == len(rows[0].fields)]
    kinds = [_kind(field) for field in first]
    if not any(kinds) or (not data and len(rows) > 1):
        return True
    below = [{_kind(row[index]) for row in data if row[index]} for index in range(len(first))]
    if all(not found or kind in found for kind, found in zip(kinds, below, strict=True)):
        raise UnclearError(
            f"line {rows[0].line} of {shown} may be names or data: {', '.join(first)[:80]}",
            "state `header: true` or `header: false`",
            "unclear-dialect",
        )
    return True


def _kind(field: str) -> str:
    """Return "number" or "time" for a field that hardly is a name, else nothing."""
    return "number" if is_number(field) else "time" if DATE.fullmatch(field) else ""


def _names(
    first: Row, data: Sequence[Row], header: bool, stated: Stated, shown: str
) -> tuple[tuple[str, ...], bool, bool, list[str]]:
    """Return a name for each field of a row, whether the first is a row's name and the last is empty, and notes."""
    if not header:
        count = len(first.fields)
        if stated.names and len(stated.names) != count:
            raise UnclearError(
                f"line {first.line} of {shown} has {count} fields, and `columns` names {len(stated.names)}",
                "name each field of the file",
            )
        return stated.names or tuple(f"column_{index + 1}" for index in range(count)), False, False, []
    names = list(first.fields)
    usual = Counter(len(row.fields) for row in data).most_common(1)[0][0] if data else len(names)
    rows = [row.fields for row in data if len(row.fields) == usual]
    trailing = bool(rows) and not any(row[-1] for row in rows) and (usual == len(names) + 1 or not names[-1])
    if usual == len(names) + 1 and usual > 1:
        by_r = first.quoted and all(row.quoted for row in data)  # R quotes texts, also the names of rows
        if not trailing and not _have_names(rows, by_r):
            raise ragged(shown, data[0].line, usual, len(names), first.line)
        names = [*names, ""] if trailing else ["", *names]
    row_names = len(names) > 1 + trailing and not names[0]
    notes = []
    if trailing:
        notes.append("each row ends with a separator")
    if row_names:
        names[0] = ROW_NAME
        notes.append(f"the first field of a row has no name: it is read as {ROW_NAME} if `columns` lists it")
    unnamed = [index + 1 for index, name in enumerate(names[: len(names) - trailing]) if not name.strip()]
    if unnamed:
        raise UnclearError(
            f"{shown}: field {unnamed[0]} has no name in line {first.line}", "name it in the file", "unnamed-column"
        )
    return tuple(names), row_names, trailing, notes


def _have_names(rows: Sequence[Sequence[str]], by_r: bool) -> bool:
    """Return True when one field more than the header has must be the row's name.

    The first fields are then unique. Unless the file is as R writes it, no two neighbours can be one value with an
    unquoted comma, such as 1,234.
    """
    firsts = [row[0] for row in rows]
    if len(set(firsts)) < len(firsts):
        return False
    pairs = range(len(rows[0]) - 1)
    return by_r or not any(all(_is_one(row[at], row[at + 1]) for row in rows) for at in pairs)


def _is_one(left: str, right: str) -> bool:
    return right.startswith(" ") or (PART.fullmatch(left) is not None and right[:1].isdigit() and is_number(right))


def _check_counts(data: Sequence[Row], count: int, stated: Stated, shown: str, *, line_of_names: int | None) -> None:
    """Refuse a row with more or fewer fields than names."""
    for row in data:
        if len(row.fields) != count and not stated.lenient:
            raise ragged(shown, row.line, len(row.fields), count, line_of_names)


def ragged(shown: str, line: int | None, fields: int, expected: int, line_of_names: int | None = 1) -> UnclearError:
    """Return the error of a row whose fields do not match the header."""
    where = f"line {line} of {shown}" if line else f"a row of {shown}"
    than = "the header" if line_of_names else "the first row"
    return UnclearError(
        f"{where} has {fields} fields, {than} has {expected}",
        "quote fields that hold the separator; state `delimiter`, `quote`, `escape`, `skip` or `comment`; or set "
        "`bad_rows: report` to leave such rows out",
        "ragged-row",
    )


def _cells(data: Sequence[Row], names: Sequence[str], texts: Iterable[str]) -> dict[str, list[str]]:
    """Return the non-empty fields by column, without columns that are declared to be texts."""
    declared = set(texts)
    return {
        name: [row.fields[index].strip() for row in data if index < len(row.fields) and row.fields[index].strip()]
        for index, name in enumerate(names)
        if name not in declared
    }


def _line_after(text: str, end: int) -> int:
    """Return the number of lines in the text up to a position."""
    return len(io.StringIO(text[:end], newline="").readlines())
