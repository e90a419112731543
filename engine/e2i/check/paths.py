"""Checks whether a spec may read a path. In: the text of a path. Out: its problem, if any. No file is opened."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from e2i.policy import Rules

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


def check(text: str, rules: Rules, look: Look, *, many: bool = False) -> PathProblem | None:
    """Returns the first problem of a path to a file that is read, or None. ``many``: or to a folder, or a pattern."""
    shown = repr(text if len(text) <= 80 else text[:79] + "…")
    wildcard = next((index for index, part in enumerate(text.split("/")) if set(part) & set("*?[")), None)
    if many and wildcard is not None:
        if ".." in text.split("/")[wildcard:]:
            return PathProblem("bad-path", f"{shown} is not a pattern of paths", "use * for a part of a name")
        text = "/".join(text.split("/")[:wildcard]) or "."
    if not text or "\0" in text or "\n" in text or len(text) > LONGEST:
        return PathProblem("bad-path", f"{shown} is not a path", "use the path of a file, relative to the workspace")
    if "://" in text:
        return PathProblem("bad-path", f"{shown} is a URL, not a path", "files are read from the workspace only")
    path = posixpath.normpath(text)
    if _within(path, NEVER):
        return PathProblem("policy-path", f"{shown} is not data: it belongs to the system", _INSIDE)
    if not any(_under(path, posixpath.normpath(root)) for root in rules.roots):
        return PathProblem("policy-path", f"{shown} leads outside {_roots(rules)}", _INSIDE)
    hidden = next((part for part in path.split("/") if part.startswith(".") and part not in (".", "..")), None)
    if hidden and not rules.hidden_files:
        return PathProblem(
            "policy-path", f"{shown} leads through {hidden!r}, and hidden names are not allowed", _INSIDE
        )
    match look(text):
        case "outside":
            return PathProblem("policy-path", f"{shown} leads through a link outside {_roots(rules)}", _INSIDE)
        case "hidden":
            return PathProblem("policy-path", f"{shown} leads through a link to a hidden name", _INSIDE)
        case "settings":
            hint = "use another file: specs neither read nor change the settings in config/"
            return PathProblem("policy-path", f"{shown} leads to a file of the operator's settings", hint)
        case "directory" if not many or (path == "." and wildcard is None):
            return PathProblem("bad-path", f"{shown} is a folder, not a file", "use a file in it")
        case "special":
            return PathProblem("bad-path", f"{shown} is not a regular file", "use a file with data in it")
    return None


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


_INSIDE = "move the file into the workspace, or have the operator list its folder under roots: in config/policy.yaml"
