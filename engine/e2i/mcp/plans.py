"""Keep the plans that agents asked for, so that a run names one by its id.

In: a plan and its request. Out: a folder ``plans/ID`` of the store with both. A person can approve its ``plan.json``.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import msgspec
from msgspec import Struct, field

from e2i import regular
from e2i.documents import ParamValues, made, plain
from e2i.errors import BadInput
from e2i.planning import document
from e2i.planning.model import Plan, PlanDocument
from e2i.store import ownership

FOLDER = "plans"
MOST = 200
"""Plans that are kept; the oldest are removed."""
ID = re.compile(r"[0-9a-f]{16}")


class PlanRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a plan was asked for with."""

    spec: str
    """The text, or the path of the file, which a run reads again."""
    params: ParamValues = field(default_factory=ParamValues)
    select: tuple[str, ...] = ()
    fresh: bool = False


def keep(store: Path, plan: Plan, request: PlanRequest) -> tuple[str, Path]:
    """Returns the id of the plan and the path of its document."""
    name = plan.digest.removeprefix("sha256:")[:16]
    ownership.create(store)
    folder = store / FOLDER / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    regular.write(folder / "request.json", msgspec.json.encode(request), mode=0o600)
    path = folder / "plan.json"
    regular.write(path, json.dumps(plain(plan.document), indent=1, ensure_ascii=False).encode() + b"\n", mode=0o600)
    _remove_oldest(store / FOLDER)
    return name, path


def kept(store: Path, name: str) -> tuple[PlanRequest, PlanDocument]:
    """Returns a kept plan with its request. Raises BadInput."""
    folder = store / FOLDER / name
    if not ID.fullmatch(name) or not (folder / "plan.json").is_file():
        raise BadInput(f"there is no plan {name!r}", code="unknown-plan", hint="call `plan`; it returns the id")
    request = msgspec.json.decode(regular.read(folder / "request.json", regular.SPEC), type=PlanRequest, dec_hook=made)
    return request, document.parse(regular.read(folder / "plan.json", regular.PLAN))


def _remove_oldest(folder: Path) -> None:
    found = sorted(folder.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in found[MOST:]:
        shutil.rmtree(old, ignore_errors=True)
