"""Write a scikit-learn model as a skops file without a pickle. Its bytes depend on the model alone.

skops names objects by memory addresses and the clock. Here the names become numbers in order of appearance.
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
    """Write ``model`` to ``path``."""
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
