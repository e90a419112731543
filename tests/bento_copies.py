"""A saved model as a Bento's service has it: beside copies of the modules that travel. In: its folder. Out: the model."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

from e2i.estimators import travelling
from e2i.tools.bentoml import flavours


def served(folder: Path, root: Path) -> flavours.Served:
    """The model as the service of a Bento loads it, from copies of the modules."""
    root.mkdir()
    for name, file in travelling.files().items():
        shutil.copyfile(file, root / f"{name}.py")
    shutil.copytree(folder, root / "model")
    found = (path for path in folder.rglob("*") if path.is_file())
    files = {f"model/{path.relative_to(folder)}": hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
    about = {"stages": [{"folder": "model", "flavour": "e2i"}], "features": None, "files": files}
    (root / "serving.json").write_text(json.dumps(about))

    def module(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(f"e2i_{name}", root / f"{name}.py")
        assert spec is not None and spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found

    return flavours.load(root, module)
