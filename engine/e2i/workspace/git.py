"""Read a git repository without running any program that it configures.

In: a folder. Out: a ``Repository`` to query. Git gets a substitute folder for ``.git``, with links to the repository's
refs, index and objects, and with a configuration that is written here. So git knows no filter, hook, monitor, helper,
pager, alias, include, lazy fetch or other program of the repository's or the user's configuration, whatever these are
called in its next version. Time, memory and output are bounded.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

HELD = 1 << 20
"""Capacity of a pipe in bytes: output beyond it was printed after the deadline."""
MEMORY = 1 << 30
"""Maximum bytes that git may allocate: a pack can unpack to any size."""
WRITTEN = 1 << 20
"""Maximum bytes that git may write to a file, for its error messages."""
MOST_CONFIG = 1 << 20
"""Maximum bytes of a configuration that are read."""
SAFE: dict[str, dict[str, tuple[str, ...]]] = {
    "core": {
        "autocrlf": ("true", "false", "input"),
        "eol": ("lf", "crlf", "native"),
        "filemode": ("true", "false"),
        "symlinks": ("true", "false"),
        "ignorecase": ("true", "false"),
        "trustctime": ("true", "false"),
        "checkstat": ("default", "minimal"),
    },
    "extensions": {"objectformat": ("sha1", "sha256"), "refstorage": ("files", "reftable")},
}
"""Settings and values that are copied: how files are compared, and how the repository is stored."""
OURS = """\
[core]
\tbare = false
\tfsmonitor = false
\thooksPath = /dev/null
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\tbigFileThreshold = 1m
[protocol]
\tallow = never
"""
SHARED = ("packed-refs", "shallow", "info", "reftable", "refs")
"""Files and folders that all worktrees of a repository share."""
OWN = ("ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_HEAD")


class Asking:
    """A running git process. Leaving the context ends it."""

    def __init__(self, pid: int, pipe: int, until: float) -> None:
        self.pid = pid
        self._pipe = pipe
        self._until = until
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> int:
        """Ends git, if it still runs. Returns its exit code; a signal's number is negative."""
        if self._over:
            return -signal.SIGKILL
        self._over = True
        os.close(self._pipe)
        os.kill(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _is_readable(self, seconds: float) -> bool:
        """Returns whether git prints something, or ends, within the time. A program may have many open files, so the
        descriptor may be too large for ``select``.
        """
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        return bool(poll.poll(1000 * seconds))

    def read(self, most: int | None = None) -> bytes | None:
        """Returns all that git prints; None when that takes too long or is more than ``most`` bytes.

        What it has printed by its deadline counts, however late it is read.
        """
        found = bytearray()
        late = 0
        while late < HELD and self._is_readable(left := max(0.0, self._until - time.monotonic())):
            piece = os.read(self._pipe, 1 << 16)
            if not piece:
                return bytes(found)
            found += piece
            late += len(piece) if left <= 0 else 0
            if most is not None and len(found) > most:
                return None
        return None

    def code(self) -> int:
        """Returns the exit code of a git that has printed all, or was ended at its deadline."""
        while self._until > time.monotonic():
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                break
            time.sleep(0.001)
        return self.end()


class Repository:
    """A git repository to read. Leaving the context removes git's substitute folder."""

    def __init__(self, root: Path, program: str) -> None:
        """Raises OSError when temporary files cannot be written, or ``.git`` cannot be read."""
        self.root = root
        self._program = program
        self._own, self._common = _folders(root)
        self._substitute = Path(os.environ.get("TMPDIR") or "/tmp") / f"e2i-git-{os.urandom(8).hex()}"
        self._substitute.mkdir(mode=0o700)
        try:
            self._fill()
        except OSError:
            self.close()
            raise

    @classmethod
    def around(cls, folder: Path) -> Repository | None:
        """Returns the repository that contains a folder; None without a repository or git. Raises OSError."""
        root = top(folder)
        program = find_program(root) if root is not None else None
        return cls(root, program) if root is not None and program is not None else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes what was created for git: links and files, never the target of a link."""
        for path in (self._substitute / "logs", self._substitute):
            with contextlib.suppress(OSError):
                for name in os.listdir(path):  # noqa: PTH208
                    with contextlib.suppress(IsADirectoryError):
                        (path / name).unlink()
                path.rmdir()

    def start(self, *arguments: str, until: float, folder: Path | None = None, given: bytes = b"") -> Asking:
        """Starts ``git ARGUMENTS`` in a folder of the work tree, with the input ``given``. Raises OSError."""
        if given:
            self._input.write_bytes(given)
        pipe, theirs = os.pipe()
        command = (self._program, "--no-pager", "--literal-pathspecs", "-C", str(folder or self.root), *arguments)
        try:
            pid = os.posix_spawn(
                self._program,
                command,
                self._environ(),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, str(self._input) if given else os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, theirs, 1),
                    (os.POSIX_SPAWN_OPEN, 2, str(self._errors), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                ],
                setsigdef=(signal.SIGINT, signal.SIGTERM),
            )
        except OSError:
            os.close(pipe)
            raise
        finally:
            os.close(theirs)
        with contextlib.suppress(OSError):  # it has already ended
            resource.prlimit(pid, resource.RLIMIT_DATA, (MEMORY, MEMORY))
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (WRITTEN, WRITTEN))
        return Asking(pid, pipe, until)

    def errors(self) -> str:
        """Returns the error message of the last git."""
        return _text(self._errors, 4096).strip().replace(str(self._substitute), ".git")

    def setting(self, section: str, name: str) -> str | None:
        """Returns a value of the repository's own configuration, as text that is not acted on."""
        found = [value for key, value in _settings(self._common / "config") if key == (section, name)]
        return found[-1] if found else None

    @property
    def _errors(self) -> Path:
        return self._substitute / "errors"

    @property
    def _input(self) -> Path:
        return self._substitute / "input"

    def _environ(self) -> dict[str, str]:
        """Returns git's environment. Nothing is inherited, because GIT_… variables can name programs too."""
        return {
            "GIT_DIR": str(self._substitute),
            "GIT_WORK_TREE": str(self.root),
            "GIT_OBJECT_DIRECTORY": str(self._common / "objects"),
            "GIT_INDEX_FILE": str(self._own / "index"),
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "",
            "HOME": str(self._substitute),
            "XDG_CONFIG_HOME": str(self._substitute),
            "PATH": os.defpath,
            "LC_ALL": "C",
        }

    def _fill(self) -> None:
        here = self._substitute
        (here / "config").write_text(self._configuration())
        head = self._own / "HEAD"
        (here / "HEAD").write_text(f"ref: {head.readlink()}\n" if head.is_symlink() else _text(head, 4096))
        (here / "logs").mkdir()
        links = {name: self._common / name for name in SHARED} | {name: self._own / name for name in OWN}
        links |= {"logs/HEAD": self._own / "logs" / "HEAD", "logs/refs": self._common / "logs" / "refs"}
        links |= {path.name: path for path in self._own.glob("sharedindex.*")}
        for name, target in links.items():
            if target.exists():
                (here / name).symlink_to(target)
        if not (here / "refs").exists():
            (here / "refs").symlink_to(here / "logs")

    def _configuration(self) -> str:
        """Returns the configuration for git."""
        home = Path(os.environ.get("HOME") or "/nonexistent")
        personal = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "git" / "config"
        own = (self._common / "config", self._own / "config.worktree")
        taken: dict[tuple[str, str], str] = {}
        for file in (Path("/etc/gitconfig"), personal, home / ".gitconfig", *own):
            for key, value in _settings(file):
                allowed = SAFE.get(key[0], {}).get(key[1], ())
                if value.lower() in allowed and (key[0] == "core" or file in own):
                    taken[key] = value.lower()
        version = int(any(section == "extensions" for section, _ in taken))
        lines = [OURS, f"[core]\n\trepositoryformatversion = {version}\n"]
        lines += [f"[{section}]\n\t{name} = {value}\n" for (section, name), value in taken.items()]
        return "".join(lines)


def top(folder: Path) -> Path | None:
    """Returns the top folder of the repository, as git itself looks for it."""
    return next((parent for parent in (folder, *folder.parents) if os.path.lexists(parent / ".git")), None)


def find_program(root: Path) -> str | None:
    """Returns the git of PATH, never one inside the repository or one that others could have written."""
    inside = root.resolve()
    for entry in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if not Path(entry).is_absolute():  # "." and "", too
            continue
        found = Path(entry, "git")
        with contextlib.suppress(OSError, RuntimeError):
            real = found.resolve(strict=True)
            if real.is_relative_to(inside) or Path(entry).resolve().is_relative_to(inside):
                continue
            if real.is_file() and os.access(real, os.X_OK) and not real.stat().st_mode & stat.S_IWOTH:
                return str(found)
    return None


def _folders(root: Path) -> tuple[Path, Path]:
    """Returns the folder of this worktree, and the one that all worktrees of the repository share."""
    own = root / ".git"
    if own.is_file():  # a worktree, or a submodule
        own = root / _text(own, 4096).removeprefix("gitdir:").strip()
    shared = own / "commondir"
    return own, own / _text(shared, 4096).strip() if shared.exists() else own


def _text(path: Path, most: int) -> str:
    """Returns the beginning of a regular file; empty when there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return ""
        return file.read(most).decode("utf-8", "replace")


def _settings(file: Path) -> Iterator[tuple[tuple[str, str], str]]:
    """Yields section, name and value of each setting in a configuration, without includes."""
    section = ""
    for line in _text(file, MOST_CONFIG).splitlines():
        rest = line.strip()
        if (header := _HEADER.match(rest)) is not None:
            section = header["name"].lower() + (f" {header['sub']}" if header["sub"] is not None else "")
            rest = rest[header.end() :].strip()
        if (setting := _SETTING.fullmatch(rest)) is not None:
            yield (section, setting["name"].lower()), (setting["value"] or "true").strip().strip('"')


_HEADER = re.compile(r'\[\s*(?P<name>[\w.-]+)(?:\s+"(?P<sub>[^"]*)")?\s*\]')
_SETTING = re.compile(r"(?P<name>[A-Za-z][\w-]*)(?:\s*=\s*(?P<value>[^#;]*?))?\s*(?:[#;].*)?")
