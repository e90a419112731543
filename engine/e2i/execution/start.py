"""A spec and options go in; its run is set up in a workspace and carried out. Out: the ``RunRecord``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from e2i.catalog import registry
from e2i.execution import provenance, secrets
from e2i.execution.engine import Engine
from e2i.execution.events import Listener
from e2i.execution.notices import Notices
from e2i.execution.record import RunRecord
from e2i.execution.request import RunRequest
from e2i.planning import binding
from e2i.store.artifacts import ArtifactStore
from e2i.store.journal import Journal
from e2i.store.use import in_use
from e2i.workers.environment import for_delivery, for_worker
from e2i.workers.executor import Executor, OnDemand
from e2i.workspace import route
from e2i.workspace.repository import Question
from e2i.workspace.source import Source
from e2i.workspace.workspace import Workspace

if TYPE_CHECKING:
    from e2i.planning.build import History
    from e2i.spec.expand import Expanded


def run(
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
    """As ``e2i.api.run``, for a source and a workspace that were opened."""
    settings = workspace.settings
    settings.check()
    settings.check_secrets(os.environ)
    with ExitStack() as stack:
        stack.enter_context(secrets.without_core_dumps())
        repository = stack.enter_context(Question(workspace.root))  # answers while the spec is checked
        expanded = route.checked(source, params, workspace)
        notices = Notices(listen or (lambda event: None), lambda: time.time_ns() // 1_000_000)
        journal = Journal(workspace.store, ArtifactStore(workspace.store, notices.damage).has)
        stack.callback(journal.close)
        if journal.set_aside is not None:
            notices.notice("state.damaged", kept=str(journal.set_aside))
        stack.enter_context(in_use(workspace.store))
        planned_ms = time.time_ns() // 1_000_000
        history: History = journal
        tell: Listener = notices.tell
        if (shared := route.shared_store(workspace)) is not None:
            from e2i.execution.sharing import Sharing

            sharing = Sharing(shared, workspace.store, journal, notices, settings.flush)
            history, tell = sharing.history, sharing.tell
        planner = route.planner(expanded, history, workspace, select, fresh)
        planned = planner.plan()
        if bound_to is not None:
            binding.check(planned, bound_to)
        cores = len(os.sched_getaffinity(0))
        environ = for_worker(os.environ, threads=cores, store=workspace.store)
        size = settings.workers or cores

        def start_pool() -> Executor:
            from e2i.workers.pool import Pool

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

            delivers = for_delivery(os.environ, threads=cores, store=workspace.store, sinks=registry.SINKS)
            courier = CourierProcess(workspace.store, settings, delivers)
            stack.callback(courier.kill)
            return lambda: courier.finish(engine.is_hurried)

        parts = _texts_of_parts(expanded)
        options = {"select": [*select], "fresh": fresh, "origin": workspace.origin, "bound": bound_to is not None}
        unfinished = None
        if run_id is None and not fresh:
            unfinished = journal.take_up(
                planned.name, planned.digest, options, file=source.file, spec=source.text, parts=parts
            )
        run_id = run_id or (unfinished.run if unfinished else new_run_id())
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
            parts=parts,
            options=options,
            taken_up=unfinished.why if unfinished else "",
            provenance=provenance.of(planned, planner.seed, source.text, repository.answer(source.file)),
        )
        engine = Engine(request, executor, journal, start_courier, tell)
        if on_engine is not None:
            on_engine(engine)
        return engine.execute()


def new_run_id() -> str:
    """A name that sorts by time and does not repeat."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.urandom(3).hex()}"


def _texts_of_parts(expanded: Expanded) -> dict[str, str]:
    """The parts that a spec includes, as they were read."""
    _, *parts = expanded.loaded.files()
    return {part.document.file: part.document.text or "" for part in parts}
