from __future__ import annotations

import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.errors import StepError, ToolUnavailable
from e2i.tools.debug import EchoParams, FailParams, SleepParams, actions


def test_echo_gives_back_what_it_is_given(ctx: LocalContext) -> None:
    assert actions.echo(EchoParams(value={"a": [1, None]}), ctx).value == {"a": [1, None]}
    assert actions.echo(EchoParams(), ctx).value is None


def test_sleep_gives_back_its_value_afterwards(ctx: LocalContext) -> None:
    assert actions.sleep(SleepParams(seconds=0, value=1), ctx).value == 1
    with pytest.raises(ValidationError):
        SleepParams(seconds=-1)


def test_fail_fails_as_a_user_or_as_a_tool(ctx: LocalContext) -> None:
    with pytest.raises(StepError, match="no luck") as raised:
        actions.fail(FailParams(message="no luck"), ctx)
    assert raised.value.code == "asked-to-fail"
    with pytest.raises(ToolUnavailable):
        actions.fail(FailParams(unavailable=True), ctx)
