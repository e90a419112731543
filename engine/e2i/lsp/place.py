"""Open the workspace that a document belongs to.

In: the path of a document and the folders that the editor has open. Out: a ``Workspace`` and the document's name in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from e2i import api, policy
from e2i.workspace import project

TESTS = (".test.yaml", ".test.yml")
SPECS = "specs"
"""A folder whose YAML files are specs from the first letter on."""


class Place(Struct, frozen=True):
    """How the server was started."""

    profile: str | None = None
    origin: str | None = None

    def workspace(self, path: Path, folders: Sequence[Path]) -> api.Workspace:
        """Opens the workspace of a document: settings and policy are those of now. Raises E2IError."""
        who = policy.origin(self.origin, os.environ)
        root = project.root_of(path, Path.cwd(), who)
        if who is policy.Origin.HUMAN and not path.is_relative_to(root):
            around = [folder for folder in folders if path.is_relative_to(folder)]
            root = max(around, key=lambda folder: len(folder.parts), default=path.parent)
        return api.Workspace.open(root=root, profile=self.profile, origin=self.origin)


def is_spec(path: Path, text: str) -> bool:
    """Returns whether a YAML file is a spec: it has steps, names the schema of specs, or is in a folder ``specs``."""
    if path.suffix not in (".yaml", ".yml") or path.name.endswith(TESTS):
        return False
    return path.parent.name == SPECS or _SPEC.search(text) is not None


_SPEC = re.compile(r"^(steps[ ]*:|#[ ]*yaml-language-server:.*\bpipeline\.v1\.json)", re.MULTILINE)
