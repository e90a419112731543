"""Write a git revision of a workspace to a folder, to examine it as a workspace of its own.

In: a workspace and the name of a revision. Out: a folder with its regular files, removed at the end.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from e2i.errors import BadInput
from e2i.workspace.revision import Revision
from e2i.workspace.workspace import Workspace

HINT = "write BASE..HEAD, such as main..HEAD"


def parsed(text: str) -> tuple[str, str]:
    """Returns the two revisions of ``BASE..HEAD``. Without a HEAD: that of the repository. Raises BadInput."""
    base, dots, head = text.partition("..")
    if not base or head.startswith("."):
        raise BadInput(f"{text!r} does not name two revisions", code="bad-option", hint=HINT)
    return base, (head or "HEAD") if dots else "HEAD"


@contextmanager
def written(workspace: Workspace, name: str) -> Iterator[Path]:
    """Yields a folder with the workspace at a revision. Raises BadInput for an unknown one, and for one that no folder
    can hold.
    """
    folder = Path(tempfile.mkdtemp(prefix="e2i-impact-")).resolve()
    try:
        for path, content in Revision(workspace.root, name).files():
            _write(folder, path, content)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, path: str, content: bytes) -> None:
    """Writes a file of the revision. A tree that was made by hand may have any names."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or {"..", ".git"} & set(parts):
        return
    try:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / path).open("xb") as file:
            file.write(content)
    except OSError as error:
        message = f"cannot write {path!r} of the revision: {error.strerror or error}"
        raise BadInput(message, code="no-such-revision") from error
