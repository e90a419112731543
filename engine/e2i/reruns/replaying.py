"""Find the calls of a recorded run without executing them: every step returns what it returned then.

In: a recorded run on a stage. Out: its ``StepCall``s, by step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from e2i import route
from e2i.documents import OutputValues
from e2i.execution.session import Session, new_run_id
from e2i.reruns.recorded import Recorded
from e2i.spec.expansion.expanded import Expanded
from e2i.store.history import NoHistory
from e2i.workers.executor import FULL_AFFINITY, Ended, Failure, Message, StepCall
from e2i.workspace.options import RunOptions
from e2i.workspace.workspace import Workspace


class Replay:
    """Implements ``Executor``: answers each call with recorded outputs, and keeps the call."""

    def __init__(self, outputs: Mapping[str, OutputValues]) -> None:
        self._outputs = outputs
        self._answers: list[Message] = []
        self.calls: dict[str, StepCall] = {}

    def free(self) -> int:
        return 64

    def free_memory(self) -> int:
        return 1 << 62

    def is_idle(self) -> bool:
        return True

    def affinity(self, uses: str) -> int:
        return FULL_AFFINITY

    def submit(self, call: StepCall) -> None:
        step = call.info.step
        self.calls.setdefault(step, call)
        if step in self._outputs:
            self._answers.append(Ended(step, 0.0, self._outputs[step]))
        else:
            self._answers.append(Ended(step, 0.0, failure=Failure("missing-input", "the run has no result of it")))

    def preload(self, uses: Sequence[str], *, certain: bool = False) -> None: ...

    def poll(self, seconds: float) -> list[Message]:
        answers, self._answers = self._answers, []
        return answers

    def cancel(self, step: str) -> None: ...

    def dismiss(self) -> None: ...

    def close(self) -> None: ...


def calls(recorded: Recorded, expanded: Expanded, quiet: Workspace, environ: Mapping[str, str]) -> dict[str, StepCall]:
    """Returns the calls that the run makes now, with the inputs that its steps had."""
    executor = Replay(recorded.outputs)
    options = RunOptions(recorded.run.params, run_id=new_run_id())
    planner = route.plan(expanded, NoHistory(), quiet, options)
    with Session(quiet, None, environ=environ, executor=executor) as session:
        session.run(planner, recorded.source, options)
    return executor.calls
