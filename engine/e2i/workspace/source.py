"""Read the text of a spec.

In: a path, a text or a mapping. Out: the ``Source``, with the file name that its problems have.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i import regular
from e2i.documents import Values
from e2i.errors import BadInput

if TYPE_CHECKING:
    from e2i.store.past import RecordedRun
    from e2i.workspace.revision import Revision
    from e2i.workspace.workspace import Workspace

Spec = str | Path | Values
MAPPING = "<mapping>"
"""The name of a spec that is data from Python."""


class Source(Struct, frozen=True):
    """A spec as text or mapping, and the file name that its problems have."""

    content: str | bytes | Values
    file: str
    revision: Revision | None = None
    """The git revision that the spec and its included specs come from; then ``file`` is ``REV:PATH``."""
    included: Mapping[str, str] | None = None
    """The texts of its included specs by name, if it comes from a recorded run."""

    @classmethod
    def recorded(cls, run: RecordedRun) -> Source:
        """Returns the spec of a recorded run with its included specs, as recorded."""
        content = json.loads(run.spec) if run.file == MAPPING else run.spec
        return cls(content, run.file, included=run.included)

    @property
    def text(self) -> str:
        """Returns the spec as text that can be stored and read again."""
        if isinstance(self.content, bytes):
            return self.content.decode("utf-8", "replace")
        return self.content if isinstance(self.content, str) else json.dumps(dict(self.content), default=list)


def read_source(spec: Spec, most: int = regular.SPEC, within: Collection[Path] = ()) -> Source:
    """Returns the text of a file, or the text or mapping itself. Raises BadInput when there is no such file.

    A text of more than ``most`` bytes is cut after one more byte. ``within``: see ``regular.read``.
    """
    if isinstance(spec, Mapping):
        return Source(spec, MAPPING)
    if isinstance(spec, str) and "\n" in spec:
        return Source(spec, "<text>")
    path = Path(spec)
    try:
        return Source(regular.read(path, most + 1, cut=True, within=within), str(spec))
    except OSError as error:
        near = sorted(str(other) for other in path.parent.glob("*.yaml"))[:8] if path.parent.is_dir() else []
        raise BadInput(
            f"cannot read the spec {str(spec)!r}: {error.strerror or error}",
            code="no-such-spec",
            hint=f"specs there: {', '.join(near)}" if near else "pass the path of a YAML file",
        ) from error


def read_revision(spec: str, workspace: Workspace) -> Source | None:
    """Returns the spec that ``REV:PATH`` names in this git repository; None when the text is a plain path."""
    name, colon, path = spec.partition(":")
    if not colon or "\n" in spec or Path(spec).exists():
        return None
    from e2i.workspace.revision import Revision

    return Source(Revision(Path.cwd(), name).read(path), spec, Revision(workspace.root, name))
