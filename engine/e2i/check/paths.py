"""Checks whether a spec may read a path. In: the text of a path. Out: its problem, if any. No file is opened."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from e2i.policy import Rules
from e2i.spec.problems import Code

Look = Callable[[str], Literal["file", "directory", "special", "missing", "outside", "hidden", "settings"]]
"""Looks up what is at a path. Passed in, because it needs a file system."""

NEVER = ("/dev", "/proc", "/sys")
"""System folders that no configured root makes readable."""
LONGEST = 1_000


class PathProblem(Struct, frozen=True):
    """The problem of a path. ``bad-path``: no policy could allow it. ``policy-path``: this policy does not."""

    code: Literal["bad-path", "policy-path"]
    message: str
    hint: str
    meant: str | None = None
    """The path to write instead."""


def check(text: str, rules: Rules, look: Look, home: str = "", *, many: bool = False) -> PathProblem | None:
    """Returns the first problem of a path to a file that is read, or None. ``home`` is the folder of the workspace.

    ``many``: the path may also be that of a folder, or a pattern.
    """
    problem = _check(text, rules, look, many)
    if problem is None or not home or not text.startswith("/") or not _within(posixpath.normpath(text), (home,)):
        return problem
    relative = posixpath.relpath(posixpath.normpath(text), home)
    if _check(relative, rules, look, many):
        return problem
    said = f"{_shown(text)} is an absolute path, which no other machine has"
    return PathProblem("bad-path", said, f'write "{relative}", the path from the workspace', relative)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _check(text: str, rules: Rules, look: Look, many: bool) -> PathProblem | None:
    name = _shown(text)
    text, pattern = _parted(text) if many else (text, "")
    if problem := _check_pattern(name, text, pattern):
        return problem
    if not text or "\0" in text or "\n" in text or len(text) > LONGEST:
        return PathProblem("bad-path", f"{name} is not a path", "use the path of a file, relative to the workspace")
    if "://" in text:
        return PathProblem("bad-path", f"{name} is a URL, not a path", "files are read from the workspace only")
    path = posixpath.normpath(text)
    if _within(path, NEVER):
        return PathProblem("policy-path", f"{name} is not data: it belongs to the system", _INSIDE)
    if not any(_under(path, posixpath.normpath(root)) for root in rules.roots):
        return PathProblem("policy-path", f"{name} leads outside {_roots(rules)}", _INSIDE)
    hidden = next((part for part in path.split("/") if part.startswith(".") and part not in (".", "..")), None)
    if hidden and not rules.hidden_files:
        return PathProblem("policy-path", f"{name} leads through {hidden!r}, and hidden names are not allowed", _INSIDE)
    match look(text):
        case "outside":
            return PathProblem("policy-path", f"{name} leads through a link outside {_roots(rules)}", _INSIDE)
        case "hidden":
            return PathProblem("policy-path", f"{name} leads through a link to a hidden name", _INSIDE)
        case "settings":
            return PathProblem("policy-path", f"{name} leads to a file of the operator's settings", _OTHER)
        case "directory" if not many or (path == "." and not pattern):
            return PathProblem("bad-path", f"{name} is a folder, not a file", "use a file in it")
        case "special":
            return PathProblem("bad-path", f"{name} is not a regular file", "use a file with data in it")
    return None


def _check_pattern(name: str, folder: str, pattern: str) -> PathProblem | None:
    """Returns the problem of a pattern in a folder; None for a plain path, whose pattern is empty."""
    if ".." in pattern.split("/"):
        return PathProblem("bad-path", f"{name} is not a pattern of paths", "use * for a part of a name")
    if pattern and "/" not in pattern and posixpath.normpath(folder) == "config":
        return PathProblem("policy-path", f"{name} leads to files of the operator's settings", _OTHER)
    return None


def _parted(text: str) -> tuple[str, str]:
    """Returns the folder before the first part with a wildcard, and the rest: nothing for a plain path."""
    parts = text.split("/")
    first = next((index for index, part in enumerate(parts) if set(part) & set("*?[")), None)
    if first is None:
        return text, ""
    return "/".join(parts[:first]) or ".", "/".join(parts[first:])


def check_written(text: str, rules: Rules, look: Look) -> PathProblem | None:
    """Returns the first problem of a path to a file that is written, or None."""
    shown = repr(text if len(text) <= 80 else text[:79] + "…")
    if not text or "\0" in text or "\n" in text or len(text) > LONGEST or "://" in text or text.endswith("/"):
        return PathProblem(
            "bad-path", f"{shown} is not the path of a file", "use the path of a file, relative to the workspace"
        )
    path = posixpath.normpath(text)
    if _within(path, NEVER) or not any(_under(path, posixpath.normpath(root)) for root in rules.write_roots):
        where = f"outside {', '.join(rules.write_roots)}" if rules.write_roots else "where no file may be written"
        hint = "the operator lists the folders under write_roots: in config/policy.yaml"
        return PathProblem("policy-path", f"{shown} is {where}", hint)
    if any(part.startswith(".") and part not in (".", "..") for part in path.split("/")):
        return PathProblem("policy-path", f"{shown} leads through a hidden name", "write to a file with another name")
    if _within(path, ("config",)):
        return PathProblem("policy-path", f"{shown} leads into the operator's settings", "write to another folder")
    if set(text) & set("*?"):
        return PathProblem("bad-path", f"{shown} is a pattern, not a file", "use the path of a file")
    match look(text):
        case "outside" | "hidden":
            return PathProblem(
                "policy-path", f"{shown} leads through a link to a place where no file may be written", _INSIDE
            )
        case "settings":
            return PathProblem("policy-path", f"{shown} leads to a file of the operator's settings", "write to another")
        case "special":
            return PathProblem("bad-path", f"{shown} is not a regular file", "use the path of a file")
    return None


def _under(path: str, root: str) -> bool:
    """Returns True when a normalised path is in a normalised root, both relative to the workspace or both absolute."""
    if root == ".":
        return not path.startswith("/") and path != ".." and not path.startswith("../")
    return _within(path, (root,))


def _within(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _roots(rules: Rules) -> str:
    return "the workspace" if rules.roots == (".",) else f"the allowed folders ({', '.join(rules.roots)})"


_OTHER = "use another file: specs neither read nor change the settings in config/"
_INSIDE = "move the file into the workspace, or have the operator list its folder under roots: in config/policy.yaml"

CODES = (
    Code(
        "policy-path",
        "A path that specs may not read",
        "Files are read from the workspace or from folders that the operator lists. For a link, its target counts.",
        "Move the file into the workspace.",
        "steps:\n  a: {uses: data.load, with: {path: ../secret.csv}}\n",
        'steps:\n  a: {uses: debug.echo, with: {value: "data in the workspace"}}\n',
    ),
    Code(
        "bad-path",
        "A path that is not a file",
        "A URL, a folder, a device or a pipe cannot be read as a file, whatever the policy.",
        "Use the path of a regular file, relative to the workspace.",
        'steps:\n  a: {uses: data.load, with: {path: "https://example.com/data.csv"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "https://example.com/data.csv"}}\n',
    ),
)
