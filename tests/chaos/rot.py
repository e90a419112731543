"""Corrupts a store in one random place: a bit, a length, or two things in each other's place."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

KINDS = ("bit", "empty", "half", "swap")
BLOCK = 4096
"""What a file system or a database writes as one."""


class Store:
    """A store whose files are known, so that it can be corrupted and restored, thousands of times."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._intact: Mapping[Path, bytes] = {
            path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
        }

    def restore(self) -> None:
        """Every file is as it was, and there are no others. Files that are as they were are left alone."""
        for path in self.root.rglob("*"):
            if path.is_file() and path not in self._intact:
                path.unlink()
        for path, content in self._intact.items():
            if not path.exists() or path.read_bytes() != content:
                _write(path, content)

    def corrupt(self, chance: random.Random) -> str:
        """Corrupts one file, or swaps two; half of the time the state, half of the time an artifact. Says what it did."""
        state = [path for path in self._intact if path.name.startswith("state.db") and self._intact[path]]
        blobs = [path for path in self._intact if "objects" in path.parts]
        path, kind = chance.choice(state if chance.random() < 0.5 else blobs), chance.choice(KINDS)
        content = bytearray(self._intact[path])
        match kind:
            case "bit":
                bit = chance.randrange(len(content) * 8)
                content[bit // 8] ^= 1 << bit % 8
                kind = f"bit {bit}"
            case "empty":
                content.clear()
            case "half":
                del content[len(content) // 2 :]
            case "swap" if path in blobs and len(blobs) > 1:
                other = chance.choice([blob for blob in blobs if blob != path])
                _write(other, bytes(content))
                content[:] = self._intact[other]
                kind = f"swap with {other.name}"
            case "swap":
                one, two = (chance.randrange(max(1, len(content) // BLOCK)) * BLOCK for _ in range(2))
                content[one : one + BLOCK], content[two : two + BLOCK] = (
                    content[two : two + BLOCK],
                    content[one : one + BLOCK],
                )
                kind = f"swap of {one} and {two}"
        _write(path, bytes(content))
        return f"{path.relative_to(self.root)}: {kind}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)  # it may be read-only, and so may the file
    path.unlink(missing_ok=True)
    path.write_bytes(content)
