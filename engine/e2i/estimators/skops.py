"""A scikit-learn model goes in; a skops file comes out whose bytes depend on the model alone. Holds no pickle.

skops names what it writes by memory addresses and the clock. Here they become numbers in order of appearance.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

_EPOCH = (1980, 1, 1, 0, 0, 0)
_ADDRESS = re.compile(r'(?P<before>"__id__": |"file": ")(?P<number>\d+)')


def save(model: Any, path: Path) -> None:
    """Writes ``model`` to ``path``."""
    import skops.io

    numbers: dict[str, str] = {}

    def renumber(match: re.Match[str]) -> str:
        number = numbers.setdefault(match["number"], str(len(numbers) + 1))
        return match["before"] + number

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as made, zipfile.ZipFile(path, "w") as settled:
        schema = _ADDRESS.sub(renumber, made.read("schema.json").decode())
        members = {numbers[Path(name).stem] + ".npy": name for name in made.namelist() if name != "schema.json"}
        for name in sorted(members, key=lambda item: int(Path(item).stem)):
            settled.writestr(zipfile.ZipInfo(name, _EPOCH), made.read(members[name]))
        settled.writestr(zipfile.ZipInfo("schema.json", _EPOCH), schema)
