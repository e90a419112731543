"""Write a column of many chunks as one array, without a copy of it. In: a chunked column. Out: an array, and its bytes.

Arrow writes an array's buffers one after the other. For a column of chunks it gets an array whose buffers are reserved
addresses without content. When such a buffer is to be written, the bytes are taken from the chunks instead. So a large
table is stored in the memory that it already has.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from typing import Any

Bytes = Callable[[], Iterator[Any]]


class Pieces:
    """The contents of reserved buffers, by address."""

    def __init__(self) -> None:
        self._contents: dict[int, tuple[int, Bytes]] = {}
        self._reserved: list[mmap.mmap] = []

    def take(self, buffer: Any) -> Iterator[Any] | None:
        """Return the content of a reserved buffer, once; None for another buffer."""
        address: int = getattr(buffer, "address", 0)
        size, content = self._contents.get(address, (-1, None))
        if content is None or size != buffer.size:
            return None
        del self._contents[address]
        return content()

    def check(self) -> None:
        """Raise RuntimeError when a reserved buffer has not been asked for: the file has zeros in its place."""
        if self._contents:
            raise RuntimeError(f"{len(self._contents)} buffers of a table were not written")

    def array(self, column: Any) -> Any | None:
        """Return an array that stands for all chunks of the column; None where it must be combined in memory."""
        import pyarrow as pa

        if len(column) == 0 or (column.num_chunks == 1 and not column.null_count):
            return None
        kind = column.type
        if pa.types.is_string(kind) or pa.types.is_binary(kind):
            return self._texts(column)
        is_plain = pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind)
        return self._fixed(column) if is_plain and kind.bit_width % 8 == 0 else None

    def _fixed(self, column: Any) -> Any:
        """Reserve the values of a type with a fixed number of bytes."""
        import pyarrow as pa

        width = column.type.bit_width // 8

        def values() -> Iterator[Any]:
            for chunk in _cleaned(column):
                yield chunk.buffers()[1].slice(chunk.offset * width, len(chunk) * width)

        buffer = self._reserve(len(column) * width, values)
        return pa.Array.from_buffers(column.type, len(column), [_validity(column), buffer], column.null_count)

    def _texts(self, column: Any) -> Any | None:
        """Reserve the offsets and the bytes of texts."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        size = pc.sum(pc.binary_length(column)).as_py() or 0
        if not 0 < size < 2**31:
            return None

        def offsets() -> Iterator[Any]:
            yield np.zeros(1, np.int32)
            before = 0
            for chunk in _cleaned(column):
                found = _offsets(chunk)
                yield found[1:] - found[0] + np.int32(before)
                before += int(found[-1] - found[0])

        def content() -> Iterator[Any]:
            for chunk in _cleaned(column):
                found = _offsets(chunk)
                if found[-1] > found[0]:
                    yield chunk.buffers()[2].slice(int(found[0]), int(found[-1] - found[0]))

        ends = self._reserve((len(column) + 1) * 4, offsets, last=size)
        buffers = [_validity(column), ends, self._reserve(size, content)]
        return pa.Array.from_buffers(column.type, len(column), buffers, column.null_count)

    def _reserve(self, size: int, content: Bytes, last: int | None = None) -> Any:
        """Return a buffer without content. ``last``: its last four bytes, which Arrow reads."""
        import pyarrow as pa

        reserved = mmap.mmap(-1, size)
        if last is not None:
            reserved[-4:] = last.to_bytes(4, "little")
        self._reserved.append(reserved)
        buffer = pa.py_buffer(reserved)
        self._contents[buffer.address] = (size, content)
        return buffer


def _cleaned(column: Any) -> Iterator[Any]:
    """Yield the non-empty chunks, with zeros where they are null."""
    import numpy as np
    import pyarrow as pa

    for chunk in column.chunks:
        if len(chunk):
            yield chunk.take(pa.array(np.arange(len(chunk)))) if chunk.null_count else chunk


def _offsets(chunk: Any) -> Any:
    import numpy as np

    return np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]


def _validity(column: Any) -> Any:
    """Return the bits of the values that are not null; None when all are."""
    import pyarrow.compute as pc

    return pc.is_valid(column).combine_chunks().buffers()[1] if column.null_count else None
