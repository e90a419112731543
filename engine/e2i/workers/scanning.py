"""Search for secrets in data that leaves a step: bytes, files, folders, tables and plain data.

In: the secrets of the step. Out: whether one of them, in any form of ``e2i.workers.masking``, is present.

Every form is at least eight bytes long, so a present form covers one of the groups of four bytes that begin at every
fifth offset, or at larger intervals for longer forms. Only these groups are looked up, and only the bytes near a known
one are searched. This costs a fraction of writing a table. Other encodings, such as encrypted or compressed text, are
not detected, except Parquet, Arrow and ZIP files, which are read.
"""

from __future__ import annotations

import mmap
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError
from e2i.workers import masking

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Buffer

GROUP = 4
"""Size of a group in bytes."""
LARGE = 1 << 20
"""Size from which groups are looked up, in bytes; smaller data is searched for each form directly."""
BLOCK = 1 << 17
"""Number of groups in one lookup, chosen to stay in the processor's cache."""
BITS = 20
"""Size of the lookup table of groups."""
FACTOR = 2_654_435_761
"""Multiplier that spreads groups over the table (Knuth, The Art of Computer Programming 3, 6.4)."""
ARMOR = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]+-----")
"""Lines that all keys have in common."""


class Scanner:
    """Knows the secrets of one step."""

    def __init__(self, secrets: Iterable[str]) -> None:
        texts = {form for secret in secrets for form in masking.forms_of(secret) if not ARMOR.fullmatch(form)}
        forms = {text.encode("utf-8", "surrogatepass") for text in texts} | set(map(masking.wide_of, secrets))
        self._forms = tuple(sorted(forms, key=lambda form: (len(form), form)))
        self._longest = max(map(len, forms), default=0)
        self._tables: tuple[np.ndarray, np.ndarray] | None = None

    def is_in(self, data: Buffer) -> bool:
        """Return True when the bytes contain a secret."""
        view = memoryview(data).cast("B")
        if not self._forms:
            return False
        if len(view) < LARGE:
            return self._is_within(view)
        return any(self._is_within(view[start:end]) for start, end in self._suspects(view))

    def is_in_data(self, data: Any) -> bool:
        """Return True when plain data contains a secret, in a key or in a value."""
        texts = "\0".join(_texts(data))  # each separately: as JSON, a JSON text would be escaped twice
        return self.is_in(texts.encode("utf-8", "surrogatepass"))

    def is_in_file(self, path: Path) -> bool:
        """Return True when a file, or one below a folder, contains a secret; also in its name."""
        if path.is_dir():
            return any(
                self.is_in(str(item.relative_to(path)).encode()) or self.is_in_file(item) for item in path.iterdir()
            )
        return path.is_file() and (self.is_in_content(path) or self._is_inside(path))

    def is_in_content(self, path: Path) -> bool:
        """Return True when the raw bytes of a file contain a secret."""
        if path.stat().st_size == 0:
            return False
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
            memoryview(content) as view,
        ):
            return self.is_in(view)

    def leaf(self, data: Any, path: tuple[str, ...] = ()) -> str:
        """Return the path to the first value of plain data that contains a secret, without the secret."""
        items = (
            data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, (list, tuple)) else ()
        )
        for key, item in items:
            if self.is_in_data(str(key)):
                return ".".join((*path, "(a key)"))
            if self.is_in_data(item):
                return self.leaf(item, (*path, str(key)))
        return ".".join(path)

    def _is_inside(self, path: Path) -> bool:
        """Return True when a file with compressed or encoded content contains a secret."""
        with path.open("rb") as file:
            start = file.read(6)
        if start.startswith(b"PAR1"):
            import pyarrow.parquet as pq

            with pq.ParquetFile(path) as parquet:
                return any(self.column(batch) is not None for batch in parquet.iter_batches())
        if start == b"ARROW1":
            return self.table(path) is not None
        if start.startswith(b"PK\3\4") and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return any(self.is_in(archive.read(name)) for name in archive.namelist())
        return False

    def table(self, path: Path) -> str | None:
        """Return the name of the first column of an Arrow file that contains a secret."""
        import pyarrow as pa

        with pa.memory_map(str(path)) as source:
            return self.column(pa.ipc.open_file(source).read_all())

    def column(self, table: Any) -> str | None:
        """Return the first column of an Arrow table or batch that contains a secret; a name that does is not shown."""
        for index, name in enumerate(table.schema.names):
            if self.is_in(name.encode("utf-8", "surrogatepass")):
                return f"the name of column {index + 1}"
            column = table.column(index)
            for chunk in getattr(column, "chunks", [column]):
                arrays = (chunk.indices, chunk.dictionary) if hasattr(chunk, "dictionary") else (chunk,)
                if any(self.is_in(buffer) for array in arrays for buffer in array.buffers() if buffer is not None):
                    return f'column "{name}"'
        return None

    def _is_within(self, view: memoryview) -> bool:
        content = bytes(view)
        return any(form in content for form in self._forms)

    def _suspects(self, view: memoryview) -> Iterator[tuple[int, int]]:
        """Yield the ranges of bytes around groups of a form, wide enough for the whole form."""
        import numpy as np

        marked, known = self._tables or self._mark()
        stride = len(self._forms[0]) - GROUP + 1
        count = (len(view) - GROUP) // stride + 1
        for first in range(0, count, BLOCK):
            many = min(BLOCK, count - first)
            groups = np.ndarray((many,), "<u4", view, first * stride, (stride,)).copy()
            hits = np.flatnonzero(marked[(groups * np.uint32(FACTOR)) >> np.uint32(32 - BITS)])
            hits = hits[np.isin(groups[hits], known)]
            if hits.size:
                yield from self._stretches((hits + first) * stride, len(view))

    def _stretches(self, offsets: np.ndarray, length: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges around the offsets, overlapping ones merged."""
        import numpy as np

        around = self._longest + GROUP
        for together in np.split(offsets, np.flatnonzero(np.diff(offsets) > 2 * around) + 1):
            yield max(0, int(together[0]) - around), min(length, int(together[-1]) + around)

    def _mark(self) -> tuple[np.ndarray, np.ndarray]:
        """Return a table that is true at the groups of the forms, and the groups."""
        import numpy as np

        groups = {form[at : at + GROUP] for form in self._forms for at in range(len(form) - GROUP + 1)}
        known = np.array(sorted(int.from_bytes(group, "little") for group in groups), np.uint32)
        marked = np.zeros(1 << BITS, bool)
        marked[(known * np.uint32(FACTOR)) >> np.uint32(32 - BITS)] = True
        self._tables = marked, known
        return self._tables


def _texts(data: Any) -> Iterator[str]:
    """Yield the keys and values of plain data as text."""
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            yield from map(str, item.keys())
            waiting += item.values()
        elif isinstance(item, (list, tuple)):
            waiting += item
        else:
            yield str(item)


def leaked(where: str) -> StepError:
    """Return the error of a step that would have passed a secret on."""
    return StepError(
        f"{where} contains a secret of the step",
        code="secret-in-output",
        hint="pass on the result of using the secret, not the secret itself",
    )
