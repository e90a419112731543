from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from context import LocalContext
from e2i.catalog.artifacts import Table
from e2i.errors import Refused, StepError
from e2i.tools.python import CallOutputs, CallParams, actions


def call(ctx: LocalContext, code: str, function: str = "f", **arguments: Any) -> CallOutputs:
    (ctx.workspace / "steps").mkdir(exist_ok=True)
    (ctx.workspace / "steps" / "code.py").write_text(code)
    return actions.call(CallParams(file="steps/code.py", function=function, arguments=arguments), ctx)


def test_plain_data_goes_in_and_comes_out(ctx: LocalContext) -> None:
    outputs = call(ctx, "def f(a, b=2):\n    return {'sum': a + b, 'list': (1, None)}\n", a=1)
    assert outputs.value == {"sum": 3, "list": [1, None]}
    assert outputs.table is None


def test_tables_arrive_and_leave_as_frames_of_their_own(ctx: LocalContext) -> None:
    table = ctx.table(pd.DataFrame({"x": [1, 2]}))
    code = "def f(table):\n    table['y'] = table['x'] * 2\n    return table\n"
    result = call(ctx, code, table=table).table
    assert isinstance(result, Table)
    assert result.names == ("x", "y")
    assert ctx.frame(result)["y"].tolist() == [2, 4]
    assert list(ctx.frame(table).columns) == ["x"]


def test_an_error_is_shown_from_the_users_own_frame(ctx: LocalContext) -> None:
    with pytest.raises(StepError, match=r"f in steps/code.py raised ZeroDivisionError: division by zero") as raised:
        call(ctx, "def f():\n    return g()\n\ndef g():\n    return 1 / 0\n")
    trace = raised.value.details["traceback"]  # type: ignore[index]
    assert trace.count("File ") == 2
    assert "line 5, in g" in trace and "actions.py" not in trace


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        ("import sys\ndef f():\n    sys.exit('enough')\n", "SystemExit: enough", "user-code-failed"),
        ("def f(:\n", "SyntaxError", "user-code-failed"),
        ("import does_not_exist\ndef f(): ...\n", "does_not_exist", "user-code-failed"),
        ("def g(): ...\n", "has no function 'f'", "no-such-function"),
        ("f = 3\n", "has no function 'f'", "no-such-function"),
        ("def f(): return object()\n", "neither a DataFrame nor plain data", "bad-result"),
        ("def f(): return float('nan')\n", "neither a DataFrame nor plain data", "bad-result"),
    ],
)
def test_what_goes_wrong_is_told(ctx: LocalContext, code: str, said: str, kind: str) -> None:
    with pytest.raises(StepError, match=said.replace("(", r"\(")) as raised:
        call(ctx, code)
    assert raised.value.code == kind


def test_neighbours_can_be_imported_but_not_instead_of_installed_modules(ctx: LocalContext) -> None:
    (ctx.workspace / "own_helpers.py").write_text("ANSWER = 42\n")
    (ctx.workspace / "queue.py").write_text("raise RuntimeError\n")
    assert call(ctx, "import queue\nfrom own_helpers import ANSWER\ndef f():\n    return ANSWER\n").value == 42


def test_files_outside_the_workspace_are_refused(ctx: LocalContext) -> None:
    outside = ctx.workspace.parent / "outside.py"
    outside.write_text("def f(): return 1\n")
    (ctx.workspace / "link.py").symlink_to(outside)
    with pytest.raises(Refused):
        actions.call(CallParams(file="link.py", function="f"), ctx)
    with pytest.raises(StepError, match="no file"):
        actions.call(CallParams(file="missing.py", function="f"), ctx)
    for file in ("../outside.py", "/etc/x.py", "a.txt", ".hidden.py"):
        with pytest.raises(ValueError, match="file"):
            CallParams.model_validate(
                {"file": file, "function": "f", "extra": 1} if file == "a.txt" else {"file": file, "function": "f"}
            )
