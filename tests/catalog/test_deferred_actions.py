"""Actions that are declared in modules of their own."""

from __future__ import annotations

import subprocess
import sys

from e2i.catalog.action import DeferredActions
from e2i.catalog.registry import BUILT_IN
from e2i.tools.model import TOOL
from e2i.tools.model.params.applying import ACTIONS


def test_an_action_is_found_by_its_name_and_none_by_another() -> None:
    assert TOOL.action("predict") is ACTIONS[0]
    assert TOOL.action("predicts") is None
    assert TOOL.action("params.applying.predict") is None


def test_actions_are_listed_in_their_order_whether_deferred_or_not() -> None:
    (predict,) = ACTIONS
    actions = DeferredActions("e2i.tools.model", "params.choosing.select", predict)
    assert [action.name for action in actions] == ["select", "predict"]
    assert (len(actions), actions[1], actions[:1]) == (2, predict, (TOOL.action("select"),))


def test_every_deferred_action_has_the_name_by_which_it_is_listed() -> None:
    for tool in BUILT_IN.tools():
        assert [tool.action(action.name) for action in tool.actions] == list(tool.actions)


def test_naming_an_action_imports_no_other_declaration() -> None:
    named = "from e2i.tools.model import TOOL; import sys; TOOL.action('predict'); print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", named], capture_output=True, text=True, check=True).stdout.split()
    assert "e2i.tools.model.params.applying" in found
    assert "e2i.tools.model.params.training" not in found
