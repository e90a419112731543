"""Plug-ins are loaded only as declared: anything else is an error at the setting that lists them."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from e2i.catalog import plugins
from e2i.catalog.plugins import BadPlugin
from e2i.catalog.registry import BUILT_IN, Registry
from e2i.settings import Settings
from e2i.spec.problems import Location

NUMBER = count()
WHERE = Location("config/default.yaml", 7, 12)
HEAD = "from e2i.catalog.action import Action, Outputs, Params, Tool, ToolSettings\n"
ECHO = "Action('echo', 'Echoes.', Params, Outputs, libraries=('pandas',), inline=True, begins_run=True)"


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a tool that a distribution on the path declares, in a package of the same name."""
    name = f"plugged_{next(NUMBER)}"
    info = tmp_path / f"{name}_dist-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 3\n")
    (info / "entry_points.txt").write_text(f"[e2i.tools]\n{name} = {name}:TOOL\n")
    (tmp_path / name).mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def declare(folder: Path, name: str, code: str) -> Registry:
    (folder / name / "__init__.py").write_text(HEAD + code.replace("NAME", name))
    return Registry({name: WHERE})


def test_a_plug_in_is_a_tool_whose_distribution_is_among_the_libraries(tmp_path: Path, name: str) -> None:
    registry = declare(tmp_path, name, f"TOOL = Tool('NAME', 'Echoes.', ({ECHO},), extra='data')")
    tool = registry.tool(name)
    assert tool is not None and (tool.extra, tool.distribution) == (None, f"{name}-dist")
    (echo,) = tool.actions
    assert (echo.libraries, echo.inline, echo.begins_run) == (("pandas", f"{name}-dist"), False, False)
    assert f"{name}.echo" in registry.names() and name in registry and name in set(registry)
    assert registry.action(f"{name}.ecko") is None and registry.problem(name) is None
    assert name not in BUILT_IN and BUILT_IN.tool(name) is None


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise RuntimeError('first\\nsecond')", "(RuntimeError: first)"),
        ("TOOL = 1", "declares a int, not a Tool"),
        (f"TOOL = Tool('other', 'x', ({ECHO},))", 'declares a tool named "other"'),
        ("TOOL = Tool('NAME', 'x', (1,))", "declares a int, not an Action"),
        (f"TOOL = Tool('NAME', 'x', ({ECHO}, {ECHO}))", 'declares "echo" twice'),
        ("TOOL = Tool('NAME', 'x', (Action('a b', 'x', Params, Outputs),))", '"a b", which is not a name'),
        ("TOOL = Tool('NAME', 'x', (Action('a', 'x', dict, Outputs),))", "not a subclass of Params"),
        ("TOOL = Tool('NAME', 'x', (Action('a', 'x', Params, None),))", "not a subclass of Outputs"),
        ("TOOL = Tool('NAME', 'x', (), settings=dict)", "not a subclass of ToolSettings"),
        ("TOOL = Tool('NAME', 'x', 1)", "not a tuple"),
    ],
)
def test_a_declaration_that_is_none_is_an_error_at_its_setting(
    tmp_path: Path, name: str, code: str, wrong: str
) -> None:
    registry = declare(tmp_path, name, code)
    with pytest.raises(BadPlugin) as raised:
        registry.tool(name)
    assert wrong in raised.value.message and raised.value.message.startswith(f"{WHERE}: ")
    (problem,) = raised.value.problems
    assert (problem.code, problem.location) == ("bad-plugin", WHERE)
    assert registry.names() == BUILT_IN.names() and registry.problem(name) is not None
    Settings(plugins=(name,), tools={name: {"deadline": 1}}).check()  # nothing uses it


def test_a_module_that_is_no_package_has_no_place_for_actions(tmp_path: Path, name: str) -> None:
    declare(tmp_path, name, f"TOOL = Tool('NAME', 'Echoes.', ({ECHO},))")
    (tmp_path / name / "__init__.py").rename(tmp_path / f"{name}.py")
    (tmp_path / name).rmdir()
    with pytest.raises(BadPlugin, match="which is a module and not a package"):
        plugins.load(name, WHERE)


def test_its_settings_are_validated_like_those_of_any_tool(tmp_path: Path, name: str) -> None:
    declare(tmp_path, name, f"TOOL = Tool('NAME', 'Echoes.', ({ECHO},))")
    assert Settings(plugins=(name,), tools={name: {"deadline": 3}}).tool(name).deadline == 3
    wrong = Settings(plugins=(name,), tools={name: {"dedline": 3}})
    with pytest.raises(Exception, match=f"settings of {name}"):
        wrong.check()
