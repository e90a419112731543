"""What the program does, from Python: a spec goes in, a typed result with ``to_json()`` comes out.

A spec is a path, YAML text or a mapping. The commands are a thin layer over these functions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i import policy as policy_module
from e2i import settings as settings_module
from e2i.check import check
from e2i.check.policy import Authority
from e2i.errors import BadInput, Exit, InvalidSpec, RefusedSpec
from e2i.execution.files import WorkspaceFiles
from e2i.execution.paths import Roots, look
from e2i.policy import Origin, Policy
from e2i.settings import Settings
from e2i.spec.problems import Problem

if TYPE_CHECKING:
    from e2i.check.mend import Mended
    from e2i.execution.engine import Engine
    from e2i.execution.events import Listener
    from e2i.execution.record import RunRecord
    from e2i.planning.build import History, Planner
    from e2i.planning.diff import SpecDiff
    from e2i.planning.model import Plan
    from e2i.spec.expand import Expanded

Spec = str | Path | Mapping[str, Any]
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A spec as given: its text or mapping, and the name that its problems go by."""

    content: str | bytes | Mapping[str, Any]
    file: str

    @property
    def text(self) -> str:
        """The spec as text that can be kept and read again."""
        if isinstance(self.content, bytes):
            return self.content.decode("utf-8", "replace")
        return self.content if isinstance(self.content, str) else json.dumps(dict(self.content), default=list)


@dataclass(frozen=True, slots=True)
class Validation:
    """Whether a spec is valid, and all of its problems."""

    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        return all(problem.severity != "error" for problem in self.problems)

    @property
    def exit_code(self) -> Exit:
        """Refused when nothing but the policy stands in the way."""
        return Exit.DONE if self.valid else Exit.REFUSED if _only_policy(self.problems) else Exit.BAD_INPUT

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "valid": self.valid,
            "problems": [problem.to_json() for problem in self.problems],
        }


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where paths in specs lead from, where the configuration is and where state is kept."""

    root: Path
    store: Path
    settings: Settings
    policy: Policy = field(default_factory=policy_module.default)
    origin: Origin = Origin.HUMAN
    """Who wrote the specs, as the operator says."""

    @classmethod
    def open(
        cls,
        *,
        root: Path | None = None,
        store: Path | None = None,
        profile: str | None = None,
        origin: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Workspace:
        """The workspace at ``root`` (default: the current directory). Reads ``config/``; makes nothing.

        ``origin`` says who wrote the specs, ``human`` or ``agent``; default: ``E2I_ORIGIN``, or else a human.
        """
        environ = os.environ if environ is None else environ
        root = (root or Path.cwd()).resolve()
        place = store or Path(environ.get("E2I_STORE") or root / ".e2i")
        return cls(
            root,
            place.resolve(),
            settings_module.load(root / "config", profile, environ),
            policy_module.load(root / "config", environ),
            policy_module.origin(origin, environ),
        )

    @property
    def roots(self) -> Roots:
        """The folders that paths in specs may lead into."""
        return Roots(self.root, self.policy.rules(self.origin).roots)

    def name(self, file: str) -> str:
        """The path of a file by which the workspace knows it: from its root on, if it lies there."""
        path = Path(os.path.abspath(file))  # noqa: PTH100 - a link is where it is, not where it leads
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else file

    @property
    def files(self) -> WorkspaceFiles:
        """What checks may look at: the files that paths in specs may lead to."""
        return WorkspaceFiles(self.roots)

    @property
    def authority(self) -> Authority:
        """What the policy lets specs of this origin do here."""

        def host(tool: str) -> str | None:
            address = self.settings.tool(tool).address()
            return address[0] if address else None

        return Authority(self.policy, self.origin, partial(look, self.roots), host, self.settings.sinks)


def read_source(spec: Spec) -> Source:
    """The text behind a path, or the text or mapping itself. Raises BadInput when there is no such file."""
    if isinstance(spec, Mapping):
        return Source(spec, "<mapping>")
    if isinstance(spec, str) and "\n" in spec:
        return Source(spec, "<text>")
    path = Path(spec)
    try:
        return Source(path.read_bytes(), str(spec))
    except OSError as error:
        near = sorted(str(other) for other in path.parent.glob("*.yaml"))[:8] if path.parent.is_dir() else []
        raise BadInput(
            f"cannot read the spec {str(spec)!r}: {error.strerror or error}",
            code="no-such-spec",
            hint=f"specs there: {', '.join(near)}" if near else "give the path of a YAML file",
        ) from error


def validate(
    spec: Spec,
    params: Mapping[str, Any] | None = None,
    *,
    profile: str | None = None,
    workspace: Workspace | None = None,
) -> Validation:
    """Checks a spec. Needs none of the tools installed and runs nothing."""
    source = read_source(spec)
    return Validation(_problems(source, params or {}, workspace or Workspace.open(profile=profile)))


def fix(
    spec: Spec,
    params: Mapping[str, Any] | None = None,
    *,
    profile: str | None = None,
    workspace: Workspace | None = None,
) -> Mended:
    """The spec's text with every certain fix carried out, comments and layout kept. Writes nothing."""
    from e2i.check.mend import Mended, mend

    workspace = workspace or Workspace.open(profile=profile)
    source = read_source(spec)
    problems = _problems(source, params or {}, workspace)
    if any(problem.code == "not-utf8" for problem in problems):
        return Mended(source.text, (), problems)

    def check_text(text: str) -> tuple[Problem, ...]:
        return _problems(Source(text, source.file), params or {}, workspace)

    return mend(source.text.removeprefix("\ufeff"), source.file, check_text)


def plan(
    spec: Spec,
    params: Mapping[str, Any] | None = None,
    *,
    profile: str | None = None,
    select: Collection[str] = (),
    fresh: bool = False,
    workspace: Workspace | None = None,
) -> Plan:
    """What a run would do now, and why. Writes nothing. Raises InvalidSpec, BadInput."""
    from e2i.execution.journal import FILE, NoHistory, Reader
    from e2i.execution.store import ArtifactStore

    workspace = workspace or Workspace.open(profile=profile)
    expanded = _checked(read_source(spec), params or {}, workspace)
    with ExitStack() as stack:
        history: Reader | NoHistory = NoHistory()
        if (workspace.store / FILE).exists():
            history = stack.enter_context(Reader(workspace.store, ArtifactStore(workspace.store).has))
        return _planner(expanded, history, workspace, select, fresh).plan()


def diff(
    before: Spec,
    after: Spec,
    params: Mapping[str, Any] | None = None,
    *,
    profile: str | None = None,
    workspace: Workspace | None = None,
) -> SpecDiff:
    """What the difference between two specs means. A text ``REV:PATH`` names a file in a git revision."""
    from e2i.execution.journal import NoHistory
    from e2i.planning.diff import compare

    workspace = workspace or Workspace.open(profile=profile)
    sides = []
    for spec in (before, after):
        source = _read_revision(spec) if isinstance(spec, str) else None
        expanded = _checked(source or read_source(spec), params or {}, workspace)
        sides.append((expanded.loaded.spec, _planner(expanded, NoHistory(), workspace, (), False).plan()))
    return compare(sides[0], sides[1])


def run(
    spec: Spec,
    params: Mapping[str, Any] | None = None,
    *,
    profile: str | None = None,
    select: Collection[str] = (),
    fresh: bool = False,
    bound_to: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    listen: Listener | None = None,
    on_engine: Callable[[Engine], None] | None = None,
    workspace: Workspace | None = None,
) -> RunRecord:
    """Carries a spec out. ``bound_to`` is a plan document that was approved: anything else is refused.

    ``listen`` is told every event, ``on_engine`` gets the engine before it starts (to stop it from a signal handler).
    Raises InvalidSpec, BadInput, Refused; a step that fails is in the record.
    """
    from e2i.execution.courier import CourierProcess
    from e2i.execution.engine import Engine
    from e2i.execution.environment import for_worker
    from e2i.execution.journal import Journal
    from e2i.execution.pool import Pool
    from e2i.execution.request import RunRequest
    from e2i.execution.store import ArtifactStore
    from e2i.planning import binding

    workspace = workspace or Workspace.open(profile=profile)
    settings = workspace.settings
    settings.check()
    source = read_source(spec)
    expanded = _checked(source, params or {}, workspace)
    journal = Journal(workspace.store, ArtifactStore(workspace.store).has)
    with ExitStack() as stack:
        stack.callback(journal.close)
        planner = _planner(expanded, journal, workspace, select, fresh)
        planned = planner.plan()
        if bound_to is not None:
            binding.check(planned, bound_to)
        cores = len(os.sched_getaffinity(0))
        environ = for_worker(os.environ, threads=cores, store=workspace.store)
        pool = Pool(
            settings.workers or cores,
            store=workspace.store,
            roots=workspace.roots,
            settings=settings.model_dump_json(),
            environ=environ,
        )
        stack.callback(pool.close)

        def start_courier() -> Callable[[], Mapping[str, Any]]:
            courier = CourierProcess(workspace.store, settings, environ)
            stack.callback(courier.kill)
            return courier.finish

        run_id = run_id or new_run_id()
        facts = {"id": run_id, "name": planned.name, "profile": settings.profile}
        request = RunRequest(
            run=run_id,
            file=source.file,
            text=source.text,
            planner=replace(planner, expanded=replace(expanded, run=facts)),
            plan=planned,
            settings=settings,
            store=workspace.store,
            environ=os.environ,
            cores=cores,
            authority=workspace.authority,
        )
        engine = Engine(request, pool, journal, start_courier, listen or (lambda event: None))
        if on_engine is not None:
            on_engine(engine)
        return engine.execute()


def new_run_id() -> str:
    """A name that sorts by time and does not repeat."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.urandom(3).hex()}"


def _read_revision(spec: str) -> Source | None:
    """The spec that ``REV:PATH`` names in this git repository; None when the text is a plain path."""
    revision, colon, path = spec.partition(":")
    if not colon or "\n" in spec or Path(spec).exists():
        return None
    import subprocess

    try:
        shown = subprocess.run(
            ["git", "show", "--end-of-options", f"{revision}:./{path}"], capture_output=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadInput(f"git cannot be asked for {spec!r}: {error}", code="no-such-revision") from error
    if shown.returncode != 0:
        raise BadInput(
            f"git has no {spec!r}: {shown.stderr.decode(errors='replace').strip()}",
            code="no-such-revision",
            hint="write REVISION:PATH, such as HEAD~1:specs/x.yaml",
        )
    return Source(shown.stdout, spec)


def _problems(source: Source, params: Mapping[str, Any], workspace: Workspace) -> tuple[Problem, ...]:
    """All problems of a spec; a parameter without a value is none."""
    known = workspace.settings
    expanded, problems = check(
        source.content,
        source.file,
        params,
        known.env,
        known.secrets,
        authority=workspace.authority,
        files=workspace.files,
        beside=workspace.name(source.file),
        require_params=False,
    )
    _check_settings(expanded, known)
    return tuple(problems)


def _checked(source: Source, params: Mapping[str, Any], workspace: Workspace) -> Expanded:
    known = workspace.settings
    expanded, problems = check(
        source.content,
        source.file,
        params,
        known.env,
        known.secrets,
        authority=workspace.authority,
        files=workspace.files,
        beside=workspace.name(source.file),
    )
    if expanded is None:
        raise RefusedSpec(problems) if _only_policy(problems) else InvalidSpec(problems)
    _check_settings(expanded, known)
    return expanded


def _check_settings(expanded: Expanded | None, settings: Settings) -> None:
    """Raises BadInput if the settings of a tool that the spec uses are wrong."""
    if expanded is not None:
        settings.check({node.step.uses.partition(".")[0] for node in expanded.nodes.values()})


def _only_policy(problems: Collection[Problem]) -> bool:
    return all(problem.is_policy for problem in problems if problem.severity == "error")


def _planner(
    expanded: Expanded, history: History, workspace: Workspace, select: Collection[str], fresh: bool
) -> Planner:
    from e2i.execution import surroundings
    from e2i.planning import graph
    from e2i.planning.build import Planner

    selected = None
    if select:
        labels: dict[str, set[str]] = {}
        for node in expanded.nodes.values():
            for label in node.labels:
                labels.setdefault(label, set()).add(node.id)
        selected = graph.select(graph.build(graph.waits(expanded)), select, labels)
    return Planner(expanded, history, surroundings.of(workspace.roots), fresh, selected, workspace.settings.profile)
