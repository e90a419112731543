"""Write a git revision of a workspace to a folder, to examine it as a workspace of its own.

In: a workspace and the name of a revision. Out: a folder with its regular files, removed at the end.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
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
    """Yields a folder with the workspace at a revision. Raises BadInput for an unknown one."""
    archive = Revision(workspace.root, name).archive()
    folder = Path(tempfile.mkdtemp(prefix="e2i-impact-")).resolve()
    try:
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            for member in tar:
                if member.isreg() and _is_inside(member.name):
                    tar.extract(member, folder, filter="data")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
