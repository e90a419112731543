"""The contract of a tool: what every tool, of e2i or of a plug-in, must keep to.

In: a ``Subject``. Out: nothing, or an AssertionError that states what is wrong. With pytest::

    @pytest.mark.parametrize("rule", RULES, ids=name_of)
    def test_contract(rule: Rule, tmp_path: Path) -> None:
        rule(Subject.of("words", tmp_path))
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from e2i import api
from e2i.catalog import examples
from e2i.catalog.action import Action, Effect, Tool
from e2i.catalog.columns import UNKNOWN
from e2i.catalog.files import NO_FILES
from e2i.catalog.registry import TOOLS, Registry
from e2i.catalog.schema import pipeline_schema
from e2i.documents import JsonObject
from e2i.settings import Settings

HEAVY = ("bentoml", "feast", "great_expectations", "matplotlib", "mlflow", "numpy", "opik", "optuna", "pandas",
         "pyarrow", "shap", "sklearn", "torch", "xgboost")  # fmt: skip
"""Packages that no declaration imports: it is read for every check of a spec."""


class Subject(Struct, frozen=True):
    """A tool in a workspace where it is available."""

    tool: Tool
    registry: Registry
    workspace: api.Workspace

    @classmethod
    def of(
        cls,
        name: str,
        root: Path,
        files: Mapping[str, str] | None = None,
        tools: Mapping[str, JsonObject] | None = None,
    ) -> Subject:
        """Returns a tool of e2i, or an installed plug-in, by its name. ``files`` are those that its examples read, and
        ``tools`` the settings that they name.
        """
        for path, text in (files or {}).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, "utf-8")
        settings = Settings(plugins=() if name in TOOLS else (name,), tools=dict(tools or {}))
        tool = settings.registry.tool(name)
        assert tool is not None, f"there is no tool {name}"
        return cls(tool, settings.registry, api.Workspace(root, root / ".e2i", settings))

    def actions(self) -> Iterator[tuple[str, Action]]:
        """Yields each action with its name in ``uses``."""
        for action in self.tool.actions:
            yield f"{self.tool.name}.{action.name}", action


Rule = Callable[[Subject], None]


def is_described(subject: Subject) -> None:
    """Tool, actions, parameters and outputs have descriptions, and accept no unknown keys."""
    assert subject.tool.summary, "the tool has no summary"
    for uses, action in subject.actions():
        assert action.summary, f"{uses} has no summary"
        for model in (action.params, action.outputs):
            assert model.model_config.get("extra") == "forbid", f"{uses}: {model.__name__} accepts unknown keys"
            bare = [name for name, field in model.model_fields.items() if not field.description]
            assert not bare, f"{uses}: no description of {', '.join(bare)}"
        if action.effect is Effect.SERVICE:
            assert any("service" in name for name in action.outputs.model_fields), f"{uses} has no output `service`"


def has_functions(subject: Subject) -> None:
    """Each action has a described function ``name(params, ctx)`` in ``actions``."""
    for uses, _ in subject.actions():
        function = subject.registry.function(uses)
        arguments = list(inspect.signature(function).parameters)
        assert arguments == ["params", "ctx"], f"{uses} takes {arguments}, not (params, ctx)"
        assert inspect.getdoc(function), f"the function of {uses} has no docstring"


def is_light(subject: Subject) -> None:
    """The declaration, column flows and effect checks import no heavy package: checks of specs need no tool."""
    parts = {"columns" for _, action in subject.actions() if action.columns}
    parts |= {"effects" for _, action in subject.actions() if action.verified}
    package = subject.registry.module(subject.tool.name)
    heavy = {*HEAVY, *(name.partition(".")[0] for name in subject.tool.imports)} - {package.partition(".")[0]}
    found = _in_new_process(LOADED, [package, *(f"{package}.{part}" for part in sorted(parts))])
    assert not (loaded := heavy & set(found)), f"its declaration imports {', '.join(sorted(loaded))}"


def has_its_imports(subject: Subject) -> None:
    """The modules that workers import ahead exist, if the tool's library is installed."""
    for name in subject.tool.imports:
        package = name.partition(".")[0]
        if _in_new_process(MISSING, [package]) == []:
            assert _in_new_process(MISSING, [name]) == [], f"`imports` names {name}, which does not exist"


def has_schemas(subject: Subject) -> None:
    """Parameters and outputs have JSON Schemas, and the tool is in the schema of specs."""
    definitions = pipeline_schema(subject.registry)["$defs"]
    for uses, action in subject.actions():
        json.dumps([action.params.model_json_schema(), action.outputs.model_json_schema(mode="serialization")])
        assert f"with {uses}" in definitions, f"{uses} is not in the schema of specs"


def has_examples(subject: Subject) -> None:
    """``example.yaml`` uses each action, and each example with the steps that it needs is a valid spec."""
    for uses, _ in subject.actions():
        example = examples.of(uses, subject.registry)
        assert f"uses: {uses}\n" in example.step, f"example.yaml does not use {uses}"
        result = api.validate(example.spec, workspace=subject.workspace)
        assert not result.errors, f"the example of {uses} is not valid: {'; '.join(map(str, result.errors))}"


def is_embedded_by_default(subject: Subject) -> None:
    """Without settings, the tool needs no server."""
    settings = subject.workspace.settings.tool(subject.tool.name)
    assert settings.is_embedded and settings.address() is None, "the default settings name a server"


def has_verified_effects(subject: Subject) -> None:
    """A result with an effect is reused only after a check of that effect, and the action can be repeated."""
    for uses, action in subject.actions():
        if action.verified:
            assert action.idempotent and action.effect is Effect.EXTERNAL, f"{uses} is verified, but not repeatable"
            assert callable(subject.registry.effect_check(uses)), f"{uses} has no effect check"
        else:
            is_looked_at = action.effect is not Effect.EXTERNAL or action.always
            assert is_looked_at, f"{uses} is reused without a check of its effect: declare `verified` or `always`"


def predicts_nothing_unknown(subject: Subject) -> None:
    """A column flow that knows nothing reports nothing, and predicts declared outputs only."""
    for uses, action in subject.actions():
        flow = subject.registry.column_flow(uses)
        assert (flow is not None) == bool(action.columns), f"{uses}: `columns` and the column flow differ"
        if flow is not None:
            given = flow(dict.fromkeys(action.params.model_fields, UNKNOWN), NO_FILES)
            assert not given.problems, f"{uses} reports {given.problems} although nothing is known"
            extra = given.outputs.keys() - action.outputs.model_fields.keys()
            assert not extra, f"{uses} predicts {', '.join(sorted(extra))}, which it does not return"


RULES: tuple[Rule, ...] = (
    is_described,
    has_functions,
    is_light,
    has_its_imports,
    has_schemas,
    has_examples,
    is_embedded_by_default,
    has_verified_effects,
    predicts_nothing_unknown,
)
"""All rules."""


def name_of(rule: Rule) -> str:
    """Returns the name of a rule, for the name of its test."""
    return rule.__name__


LOADED = "import importlib, sys; [importlib.import_module(n) for n in sys.argv[1:]]; print(*sys.modules)"
MISSING = "import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if not u.find_spec(n)])"


def _in_new_process(code: str, names: list[str]) -> list[str]:
    """Returns what the code prints: to look inside a package is to import it, and this process has imported others."""
    path = f"import sys; sys.path[:] = {sys.path!r}; "
    done = subprocess.run(
        [sys.executable, "-c", path + code, *names], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
