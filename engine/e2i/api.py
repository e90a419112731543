"""What the program does, from Python: a spec goes in, a typed result with ``to_json()`` comes out.

A spec is a path, YAML text or a mapping. The commands are a thin layer over these functions.
"""

from __future__ import annotations

import json
import os
import time
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
from e2i.check.parts import PartFiles
from e2i.check.policy import Authority
from e2i.errors import BadInput, Exit, InvalidSpec, Refused, RefusedSpec
from e2i.execution.files import ChangedFiles, WorkspaceFiles
from e2i.execution.paths import Roots, look
from e2i.policy import Origin, Policy
from e2i.settings import Settings
from e2i.spec import sizes
from e2i.spec.problems import Problem

if TYPE_CHECKING:
    from e2i.catalog.files import Files
    from e2i.check.mend import Mended
    from e2i.execution.engine import Engine
    from e2i.execution.events import Listener
    from e2i.execution.record import RunRecord
    from e2i.execution.revision import Revision
    from e2i.execution.shared import SharedStore
    from e2i.planning.build import History, Planner
    from e2i.planning.diff import SpecDiff
    from e2i.planning.model import Plan
    from e2i.records.comparison import RunDiff
    from e2i.spec.expand import Expanded
    from e2i.spec.models import PipelineSpec

Spec = str | Path | Mapping[str, Any]
SCHEMA_VERSION = 1
MAPPING = "<mapping>"
"""The name of a spec that is data from Python."""


@dataclass(frozen=True, slots=True)
class Source:
    """A spec as given: its text or mapping, and the name that its problems go by."""

    content: str | bytes | Mapping[str, Any]
    file: str
    revision: Revision | None = None
    """The git revision that it was read from, as were its parts; then ``file`` is ``REV:PATH``."""
    parts: Mapping[str, str] | None = None
    """The texts of its parts by name, if it comes from a recorded run."""

    @classmethod
    def recorded(cls, run: Mapping[str, Any]) -> Source:
        """The spec of a recorded run with its parts, as they were."""
        content = json.loads(run["spec"]) if run["file"] == MAPPING else run["spec"]
        return cls(content, run["file"], parts=run["parts"])

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
        return Source(spec, MAPPING)
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
    """The spec's text, and those of the parts that it includes, with every certain fix carried out; comments and layout
    are kept. Writes nothing. Parts outside the workspace are left as they are.
    """
    from e2i.check.mend import Mended, mend_all

    workspace = workspace or Workspace.open(profile=profile)
    source = read_source(spec)
    problems = _problems(source, params or {}, workspace)
    if any(problem.code == "not-utf8" and problem.place.file == source.file for problem in problems):
        return Mended(source.text, (), problems)
    files = workspace.files
    parts: dict[str, Path] = {}

    def open_part(name: str) -> str | None:
        path = files.own(name)
        if path is None or path in (*parts.values(), Path(source.file).resolve()):  # one file, whatever names it has
            return None
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            return None
        parts[name] = path
        return text.removeprefix("\ufeff")

    def check_texts(texts: Mapping[str, str]) -> tuple[Problem, ...]:
        changed = ChangedFiles(files, {path: texts[name] for name, path in parts.items() if name in texts})
        return _problems(Source(texts[source.file], source.file), params or {}, workspace, changed)

    return mend_all(source.text.removeprefix("\ufeff"), source.file, open_part, check_texts)


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
    from e2i.execution.database import FILE
    from e2i.execution.history import NoHistory, Reader
    from e2i.execution.store import ArtifactStore

    workspace = workspace or Workspace.open(profile=profile)
    expanded = _checked(read_source(spec), params or {}, workspace)
    with ExitStack() as stack:
        history: History = NoHistory()
        if (workspace.store / FILE).exists():
            history = stack.enter_context(Reader(workspace.store, ArtifactStore(workspace.store).is_sound))
        if (shared := _shared(workspace)) is not None:
            from e2i.execution.shared import SharedResults

            history = SharedResults(history, shared, lambda result: True)
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
    from e2i.execution.history import NoHistory
    from e2i.planning.diff import compare

    workspace = workspace or Workspace.open(profile=profile)
    sides = []
    for spec in (before, after):
        source = _read_revision(spec, workspace) if isinstance(spec, str) else None
        expanded = _checked(source or read_source(spec), params or {}, workspace)
        sides.append((expanded.loaded.spec, _planner(expanded, NoHistory(), workspace, (), False).plan()))
    return compare(sides[0], sides[1])


def compare(before: str, after: str, *, workspace: Workspace | None = None) -> RunDiff:
    """What differs between two runs: what went into them, how they went, what they gave. Raises BadInput.

    A run goes by its id, the beginning of it, ``last``, or ``last~1`` for the one before.
    """
    from e2i.planning import diff as spec_diff
    from e2i.records import comparison, lookup

    workspace = workspace or Workspace.open()
    runs = (lookup.run(workspace.store, before), lookup.run(workspace.store, after))
    sides = [_as_planned(run, workspace) for run in runs]
    meaning = spec_diff.compare(sides[0], sides[1]) if sides[0] and sides[1] else None
    return comparison.compare(runs[0], runs[1], meaning)


def given(run: Mapping[str, Any], step: str, *, workspace: Workspace | None = None) -> dict[str, Any] | None:
    """The parameters of a step of a recorded run, worked out anew from its spec; None when that is no longer possible.

    For a step without a kept result: one that failed, or that still runs.
    """
    from e2i.spec.expand import plain
    from e2i.spec.expressions import ExpressionError

    expanded = _as_recorded(run, workspace or Workspace.open())
    node = expanded.nodes.get(step) if expanded else None
    if expanded is None or node is None:
        return None
    outputs = {row["step"]: row["outputs"] for row in run["steps"] if row["outputs"] is not None}
    try:
        found = plain(expanded.resolve(node.step.with_, node, outputs))
    except ExpressionError:
        found = plain(expanded.resolve(node.step.with_, node, {}))
    return found if isinstance(found, dict) else None


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
    Raises InvalidSpec, BadInput, Refused, StoreError; a step that fails is in the record.
    """
    return _run(
        read_source(spec),
        params or {},
        workspace or Workspace.open(profile=profile),
        select=select,
        fresh=fresh,
        bound_to=bound_to,
        run_id=run_id,
        listen=listen,
        on_engine=on_engine,
    )


def resume(
    run: str,
    *,
    listen: Listener | None = None,
    on_engine: Callable[[Engine], None] | None = None,
    workspace: Workspace | None = None,
) -> RunRecord:
    """Goes on with a recorded run under its own name, with its own spec, parts, parameters, profile and options.

    It stays the run of an agent if it was one. Raises what ``run`` does, BadInput when there is no such run, and
    Refused when its records were altered.
    """
    workspace = workspace or Workspace.open()
    past = recorded(run, workspace)
    if past["damaged"]:
        raise Refused(
            f"run {run} is not resumed: its records were altered since they were written: {', '.join(past['damaged'])}",
            code="state-altered",
            hint="run its spec again: finished steps are not repeated; `e2i doctor` names every damaged record",
        )
    options = past["options"] or {}
    origin = Origin.AGENT if options.get("origin") == Origin.AGENT else workspace.origin
    settings = workspace.settings
    if past["profile"] != settings.profile:
        settings = settings_module.load(workspace.root / "config", past["profile"], os.environ)
    return _run(
        Source.recorded(past),
        past["params"] or {},
        replace(workspace, settings=settings, origin=origin),
        select=tuple(options.get("select", ())),
        fresh=bool(options.get("fresh")),
        bound_to=past["plan"] if options.get("bound") else None,
        run_id=run,
        listen=listen,
        on_engine=on_engine,
    )


def recorded(run: str, workspace: Workspace) -> dict[str, Any]:
    """Everything recorded of a run, as ``execution.history.Reader.run`` documents it. Raises BadInput."""
    from e2i.execution.database import FILE
    from e2i.execution.history import Reader

    if (workspace.store / FILE).exists():
        with Reader(workspace.store, lambda digest: True) as reader:
            if (found := reader.run(run)) is not None:
                return found
    raise BadInput(
        f"there is no run {run!r} in the store {workspace.store}", code="unknown-run", hint="`e2i runs` lists them"
    )


def _run(
    source: Source,
    params: Mapping[str, Any],
    workspace: Workspace,
    *,
    select: Collection[str],
    fresh: bool,
    bound_to: Mapping[str, Any] | None,
    run_id: str | None,
    listen: Listener | None,
    on_engine: Callable[[Engine], None] | None,
) -> RunRecord:
    from e2i.execution import provenance
    from e2i.execution.collect import in_use
    from e2i.execution.engine import Engine
    from e2i.execution.environment import for_worker
    from e2i.execution.executor import Executor, OnDemand
    from e2i.execution.journal import Journal
    from e2i.execution.notices import Notices
    from e2i.execution.repository import Question
    from e2i.execution.request import RunRequest
    from e2i.execution.store import ArtifactStore
    from e2i.planning import binding

    settings = workspace.settings
    settings.check()
    with ExitStack() as stack:
        repository = stack.enter_context(Question(workspace.root))  # answers while the spec is checked
        expanded = _checked(source, params, workspace)
        notices = Notices(listen or (lambda event: None), lambda: time.time_ns() // 1_000_000)
        journal = Journal(workspace.store, ArtifactStore(workspace.store, notices.damage).has)
        stack.callback(journal.close)
        if journal.set_aside is not None:
            notices.notice("state.damaged", kept=str(journal.set_aside))
        stack.enter_context(in_use(workspace.store))
        planned_ms = time.time_ns() // 1_000_000
        history: History = journal
        tell: Listener = notices.tell
        if (shared := _shared(workspace)) is not None:
            from e2i.execution.sharing import Sharing

            sharing = Sharing(shared, workspace.store, journal, notices, settings.flush)
            history, tell = sharing.history, sharing.tell
        planner = _planner(expanded, history, workspace, select, fresh)
        planned = planner.plan()
        if bound_to is not None:
            binding.check(planned, bound_to)
        cores = len(os.sched_getaffinity(0))
        environ = for_worker(os.environ, threads=cores, store=workspace.store)
        size = settings.workers or cores

        def start_pool() -> Executor:
            from e2i.execution.pool import Pool

            return Pool(
                size,
                store=workspace.store,
                roots=workspace.roots,
                settings=settings.model_dump_json(),
                environ=environ,
            )

        executor = OnDemand(size, start_pool)
        stack.callback(executor.close)

        def start_courier() -> Callable[[], Mapping[str, Any]]:
            from e2i.execution.courier import CourierProcess

            courier = CourierProcess(workspace.store, settings, environ)
            stack.callback(courier.kill)
            return lambda: courier.finish(engine.is_hurried)

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
            planned_ms=planned_ms,
            parts=_texts_of_parts(expanded),
            options={"select": [*select], "fresh": fresh, "origin": workspace.origin, "bound": bound_to is not None},
            provenance=provenance.of(planned, planner.seed, source.text, repository.answer(source.file)),
        )
        engine = Engine(request, executor, journal, start_courier, tell)
        if on_engine is not None:
            on_engine(engine)
        return engine.execute()


def _texts_of_parts(expanded: Expanded) -> dict[str, str]:
    """The parts that a spec includes, as they were read."""
    _, *parts = expanded.loaded.files()
    return {part.document.file: part.document.text or "" for part in parts}


def new_run_id() -> str:
    """A name that sorts by time and does not repeat."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.urandom(3).hex()}"


def _read_revision(spec: str, workspace: Workspace) -> Source | None:
    """The spec that ``REV:PATH`` names in this git repository; None when the text is a plain path."""
    name, colon, path = spec.partition(":")
    if not colon or "\n" in spec or Path(spec).exists():
        return None
    from e2i.execution.revision import Revision

    return Source(Revision(Path.cwd(), name).read(path), spec, Revision(workspace.root, name))


def _problems(
    source: Source, params: Mapping[str, Any], workspace: Workspace, files: Files | None = None
) -> tuple[Problem, ...]:
    """All problems of a spec; a parameter without a value is none."""
    known = workspace.settings
    expanded, problems = check(
        source.content,
        source.file,
        params,
        known.env,
        known.secrets,
        authority=workspace.authority,
        files=files or workspace.files,
        beside=workspace.name(source.file),
        require_params=False,
    )
    _check_settings(expanded, known)
    return tuple(problems)


def _checked(source: Source, params: Mapping[str, Any], workspace: Workspace) -> Expanded:
    known, then = workspace.settings, source.revision
    expanded, problems = check(
        source.content,
        source.file,
        params,
        known.env,
        known.secrets,
        authority=workspace.authority,
        files=workspace.files,
        beside=workspace.name(source.file.partition(":")[2] if then else source.file),
        parts=_parts_of(source),
    )
    if then:
        problems = [_in_revision(problem, source.file, then.name) for problem in problems]
    if expanded is None:
        raise RefusedSpec(problems) if _only_policy(problems) else InvalidSpec(problems)
    _check_settings(expanded, known)
    return expanded


def _parts_of(source: Source) -> PartFiles | None:
    """Where the parts of a spec are read, if not in the workspace as it is now."""
    if source.revision is not None:
        return PartFiles(source.revision, source.revision.look)
    if source.parts:
        from e2i.execution.recorded import RecordedFiles

        kept = RecordedFiles(source.parts)
        return PartFiles(kept, kept.look)
    return None


def _in_revision(problem: Problem, spec: str, revision: str) -> Problem:
    """The problem with the file named as it was asked for: ``REV:PATH``, also when it is a part."""
    place = problem.place
    return problem if place.file == spec else replace(problem, place=replace(place, file=f"{revision}:{place.file}"))


def _shared(workspace: Workspace) -> SharedStore | None:
    """The store that this environment shares results through; those of agents and of humans apart."""
    if workspace.settings.shared is None:
        return None
    from e2i.execution.shared import SharedStore

    return SharedStore(workspace.settings.shared, workspace.origin.value)


def _check_settings(expanded: Expanded | None, settings: Settings) -> None:
    """Raises BadInput if the settings of a tool that the spec uses are wrong, or do not allow what a step asks for."""
    if expanded is None:
        return
    settings.check({node.step.uses.partition(".")[0] for node in expanded.nodes.values()})
    most = settings.resources.max_memory
    for name, node in expanded.nodes.items() if most else ():
        asked = node.options.resources.memory
        if asked and sizes.parse(asked) > sizes.parse(most or ""):
            raise BadInput(
                f"step {name!r} asks for {asked} of memory; here a step may have {most}",
                code="too-much-memory",
                hint="give it less by `resources: {memory: …}`; the operator sets `resources: max_memory:` in config/",
            )


def _as_recorded(run: Mapping[str, Any], workspace: Workspace) -> Expanded | None:
    """The spec of a recorded run with its parameters; None when it is no longer valid here."""
    try:
        return _checked(Source.recorded(run), run["params"] or {}, workspace)
    except (BadInput, ValueError):
        return None


def _as_planned(run: Mapping[str, Any], workspace: Workspace) -> tuple[PipelineSpec, Plan] | None:
    """The spec of a recorded run and its plan, as if there were no files and no libraries: for what the spec means."""
    from e2i.execution.history import NoHistory
    from e2i.planning.build import Planner
    from e2i.planning.fingerprint import Surroundings

    expanded = _as_recorded(run, workspace)
    if expanded is None:
        return None
    nothing = Surroundings(library=lambda name: None, file=lambda name: None, python="")
    return expanded.loaded.spec, Planner(expanded, NoHistory(), nothing, profile=run["profile"]).plan()


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
