"""An approval covers what the approver saw: whatever changes after it, before or during the run, nothing that runs
differs from what was approved, or it is refused and named.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from e2i import api
from e2i.errors import BadInput, E2IError, Refused
from e2i.execution.events import StepFinished
from e2i.planning import document
from project import Project

SPEC = """
version: 1
name: approved
params: {n: {type: integer, default: 2}}
steps:
  first: {uses: debug.echo, with: {value: "${{ env.REGION }}"}}
  code: {uses: python.call, needs: [first], with: {file: code.py, function: f, arguments: {x: "${{ params.n }}"}}}
  same: {uses: python.call, needs: [code], with: {file: again.py, function: f}}
  data: {uses: data.load, needs: [code], with: {path: a.csv}}
  linked: {uses: data.load, needs: [first], with: {path: link.csv}}
  part: {uses: ./part2.yaml, needs: [code]}
  late: {uses: debug.echo, with: {value: "${{ steps.code.value ~ env.REGION ~ params.n }}"}}
outputs: {late: "${{ steps.late.value }}"}
"""
FILES = {
    "spec.yaml": SPEC,
    "code.py": "import helper\nfrom pack import inner\n\ndef f(x):\n    return [x, helper.VALUE, inner.VALUE]\n",
    "again.py": "import pack.inner\n\ndef f():\n    import helper\n    return helper.VALUE + pack.inner.VALUE\n",
    "helper.py": "VALUE = 1\n",
    "pack/__init__.py": "",
    "pack/inner.py": "from .deep import VALUE\n",
    "pack/deep.py": "VALUE = 10\n",
    "a.csv": "x,y\n1,1\n2,2\n",
    "b.csv": "x,y\n5,5\n",
    "part2.yaml": "version: 1\nname: part2\nsteps: {i: {uses: data.load, with: {path: b.csv}}}\n",
    "config/default.yaml": "sinks: []\nenv: {REGION: '${REGION:-eu}', OTHER: x}\nsecrets: {}\n"
    "tools: {mlflow: {tracking_uri: 'http://user:pw@mlflow.test:5000'}, opik: {project_name: e2i}}\n",
    "config/policy.yaml": "human: {roots: [., /srv/data]}\n",
}
OTHER = {
    "code.py": "def f(x):\n    return 'evil'\n",
    "again.py": "def f():\n    return 'evil'\n",
    "helper.py": "VALUE = 'evil'\n",
    "pack/__init__.py": "raise SystemExit\n",
    "pack/inner.py": "VALUE = 'evil'\n",
    "pack/deep.py": "VALUE = 'evil'\n",
    "a.csv": "x,y\n666,666\n",
    "b.csv": "x,y\n666,666\n",
    "part2.yaml": FILES["part2.yaml"].replace("b.csv", "a.csv"),
    "spec.yaml": SPEC.replace("default: 2", "default: 3"),
}
Change = Callable[[Project, Random], str | None]
"""Changes something; its name, or None when the change must not matter."""


def _content(project: Project, rng: Random) -> str:
    """Another content of a file that a step reads or runs, put there in one of four ways."""
    name = rng.choice(sorted(OTHER))
    path = project.root / name
    match rng.choice(["over", "swap", "link", "gone"]):
        case "over":
            path.write_text(OTHER[name], "utf-8")
        case "swap":
            project.write(f"{name}.new", OTHER[name]).rename(path)
        case "link":
            other = project.write(f"elsewhere/{path.name}", OTHER[name])
            path.unlink()
            path.symlink_to(other)
        case _:
            path.unlink()
    return name


def _shadow(project: Project, rng: Random) -> str:
    """A module that would be imported instead of the one that was fingerprinted."""
    name, text = rng.choice(
        [
            ("helper/__init__.py", "VALUE = 'evil'\n"),
            ("pack/deep/__init__.py", "VALUE = 'evil'\n"),
            ("pack/inner/__init__.py", "VALUE = 'evil'\n"),
            ("helper.cpython-311-x86_64-linux-gnu.so", "evil"),
        ]
    )
    project.write(name, text)
    return name


def _link(project: Project, rng: Random) -> str:
    """A link that leads to another file."""
    path = project.root / "link.csv"
    path.unlink()
    path.symlink_to("b.csv")
    return "link.csv"


def _settings(project: Project, rng: Random) -> str | None:
    """Another word of the operator in config/default.yaml."""
    before, after, matters = rng.choice(
        [
            ("REGION: '${REGION:-eu}'", "REGION: us", True),
            ("sinks: []", "sinks: [opik]", True),
            ("sinks: []", "sinks: []\ntimeout: 1h", True),
            ("sinks: []", "sinks: []\nresources: {memory: 1GB}", True),
            ("sinks: []", "sinks: []\nshared: {url: 'file:///srv/e2i'}", True),
            ("OTHER: x", "OTHER: y", False),
            ("user:pw@", "other:rotated@", False),
            ("sinks: []", "sinks: []\nworkers: 1", False),
            ("sinks: []", "# a comment\nsinks: []", False),
        ]
    )
    project.write("config/default.yaml", FILES["config/default.yaml"].replace(before, after))
    return after if matters else None


def _policy(project: Project, rng: Random) -> str:
    """Another policy, or none that can be read."""
    path = project.root / "config" / "policy.yaml"
    match rng.choice(["gone", "roots", "hidden", "refused", "budget", "pipe", "dangling", "folder", "invalid"]):
        case "roots":
            path.write_text("human: {roots: [., /srv/other]}\n", "utf-8")
        case "hidden":
            path.write_text("human: {roots: [., /srv/data], hidden_files: false}\n", "utf-8")
        case "refused":
            path.write_text("human: {roots: [., /srv/data], refused: [opik.*]}\n", "utf-8")
        case "budget":
            path.write_text("human: {roots: [., /srv/data], budgets: {trials: 5}}\n", "utf-8")
        case "invalid":
            path.write_text("human: [", "utf-8")
        case kind:
            path.unlink()
            if kind == "pipe":
                os.mkfifo(path)
            elif kind == "dangling":
                path.symlink_to("nowhere")
            elif kind == "folder":
                path.mkdir()
    return "policy"


def _harmless(project: Project, rng: Random) -> None:
    """What nothing in the plan reads."""
    name, text = rng.choice(
        [
            ("spec.yaml", "# a comment\n" + SPEC),
            ("README.md", "hello"),
            ("unused.py", "raise SystemExit"),
            ("json/__init__.py", "raise SystemExit"),  # an installed module comes first
            ("config/other.yaml", "sinks: [mlflow]"),
        ]
    )
    project.write(name, text)


CHANGES: dict[str, Change] = {
    "content": _content,
    "shadow": _shadow,
    "link": _link,
    "settings": _settings,
    "policy": _policy,
    "harmless": _harmless,
}
WEIGHTS = (6, 2, 1, 3, 3, 2)


def _fill(project: Project) -> None:
    for name, text in FILES.items():
        project.write(name, text)
    (project.root / "link.csv").symlink_to("a.csv")


def _clear(project: Project) -> None:
    """Takes everything away but the store."""
    import shutil

    for item in project.root.iterdir():
        if item.name == ".e2i":
            continue
        shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()


def _run(project: Project, approved: dict[str, Any], environ: dict[str, str], during: Callable[[], object]) -> Any:
    """A bound run; ``during`` is called when its first step has begun."""
    begun: list[bool] = []

    def listen(event: Any) -> None:
        if isinstance(event, StepFinished) and event.step == "first" and not begun:
            begun.append(True)
            during()

    workspace = api.Workspace.open(root=project.root, environ=environ)
    spec = project.root / "spec.yaml"
    return api.run(spec, workspace=workspace, fresh=True, bound_to=approved, listen=listen)


def _gave(record: Any) -> dict[str, Any]:
    """What each step that succeeded gave."""
    return {name: step.outputs for name, step in record.steps.items() if step.status.value in ("succeeded", "reused")}


@pytest.mark.parametrize(
    ("pairs", "seed"), [(12, 1), pytest.param(500, 2, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_nothing_runs_that_was_not_approved(project: Project, pairs: int, seed: int) -> None:
    rng, done = Random(seed), Counter[str]()
    _fill(project)
    approved = json.loads(
        json.dumps(api.plan(project.root / "spec.yaml", fresh=True, workspace=project.workspace).to_json())
    )
    expected = _gave(_run(project, approved, {}, lambda: None))
    assert len(expected) == 7
    for _ in range(pairs):
        _clear(project)
        _fill(project)
        kind = rng.choices(list(CHANGES), WEIGHTS)[0]
        when = rng.choice(["before", "during"])
        named: list[str | None] = []

        def change(kind: str = kind, named: list[str | None] = named) -> None:
            named.append(CHANGES[kind](project, rng))

        if when == "before":
            change()
        try:
            record = _run(project, approved, {}, change if when == "during" else lambda: None)
        except E2IError as error:
            assert when == "before" and named[0] is not None, (kind, named, error)
            assert isinstance(error, Refused | BadInput) and error.exit_code in (2, 3), error
            assert "digest differs" not in error.message
            done[f"{kind} refused"] += 1
            continue
        gave = _gave(record)
        assert all(gave[name] == expected[name] for name in gave), (kind, named, when, gave)
        failed = [step for step in record.steps.values() if step.status.value == "failed"]
        for step in failed:
            message = step.error.message
            assert step.error.code == "input-changed-during-run" or "not part of the plan" in message, step.error
        if named[0] is None:
            assert not failed, (kind, failed)
        if when == "before" and named[0] is not None:
            assert kind in ("content", "shadow", "link") and failed, (kind, named)
        done[f"{kind} {when} {'named' if failed else 'as approved'}"] += 1
    assert done["content during named"] and done["policy refused"] and done["content refused"], done


def test_the_environment_that_configuration_reads_is_bound(project: Project) -> None:
    _fill(project)
    project.write("config/policy.yaml", "agent: {run_python: true}\n")
    approved = api.plan(project.root / "spec.yaml", fresh=True, workspace=project.workspace).to_json()
    with pytest.raises(Refused, match=r"env\.REGION eu → us"):
        _run(project, approved, {"REGION": "us"}, lambda: None)
    with pytest.raises(Refused, match="origin human → agent"):
        _run(project, approved, {"E2I_ORIGIN": "agent"}, lambda: None)


@pytest.mark.parametrize("written", ['"${{ steps.a.value ~ env.\\x52EGION }}"', '"${{ steps.a.value ~ env[\'REG\' \'ION\'] }}"',
                                     '"${{ steps.a.value ~ env[\'\\\\x52EGION\'] }}"'])  # fmt: skip
def test_a_name_of_the_environment_is_bound_however_it_is_written(project: Project, written: str) -> None:
    project.write("config/default.yaml", "sinks: []\nenv: {REGION: '${REGION:-eu}'}\n")
    spec = project.write("spec.yaml", "version: 1\nname: s\nsteps:\n  a: {uses: debug.echo, with: {value: x}}\n"
                         f"  b: {{uses: debug.echo, with: {{value: {written}}}}}\n")  # fmt: skip
    approved = api.plan(spec, workspace=project.workspace).to_json()
    assert approved["environment"]["env"] == {"REGION": "eu"}
    with pytest.raises(Refused, match=r"env\.REGION eu → us"):
        api.run(spec, workspace=api.Workspace.open(root=project.root, environ={"REGION": "us"}), bound_to=approved)


def test_the_variables_of_the_tools_are_bound_without_credentials(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = project.write("spec.yaml", "version: 1\nname: s\nsteps:\n"
                         "  load: {uses: mlflow.load, with: {name: m, version: 1}}\n")  # fmt: skip
    secrets = {
        "AWS_SECRET_ACCESS_KEY": "k9Xq2LmZvT77",
        "PGPASSWORD": "tR7wPz3Qb8",
        "MLFLOW_TRACKING_TOKEN": "Yb5hQn8Wd2",
    }
    safe = {"AWS_ENDPOINT_URL": "http://u:Jd4Kp9Zt6x@one/s3", "AWS_PROFILE": "one", "PGHOST": "one", "PGUSER": "Ux3Lf8Rk1v",
            "MLFLOW_TRACKING_USERNAME": "Hs6Gv2Mc9q", "MLFLOW_S3_UPLOAD_EXTRA_ARGS": '{"SSECustomerKey": "Wq1Ne5Tb7y"}'}  # fmt: skip
    for name, value in {**secrets, **safe}.items():
        monkeypatch.setenv(name, value)
    approved = api.plan(spec, workspace=project.workspace).to_json()
    text = json.dumps(approved)
    hidden = (*secrets.values(), "Jd4Kp9Zt6x", "Ux3Lf8Rk1v", "Hs6Gv2Mc9q", "Wq1Ne5Tb7y")
    assert not [value for value in hidden if value in text]
    assert approved["environment"]["variables"].keys() - {"AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"} == safe.keys()
    for name in secrets:  # another password is no other plan
        with monkeypatch.context() as other:
            other.setenv(name, "aB3dE6gH9k")
            assert api.plan(spec, workspace=project.workspace).digest == approved["digest"]
    for name, value in safe.items():
        with monkeypatch.context() as other:
            other.setenv(name, value.replace("one", "two") if "one" in value else f"{value}2")
            with pytest.raises(Refused, match=rf"variables\.{name} "):
                api.run(spec, workspace=project.workspace, bound_to=approved)


@pytest.mark.parametrize(
    ("literal", "meant"),
    [
        ("$${{ steps.a.value }}", "${{ steps.a.value }}"),
        ({"$expression": "$${{ steps.p.o }}", "$through": {"steps.p.o": "$${{ steps.i.value }}"}}, "${{ steps.p.o }}"),
    ],
)
@pytest.mark.parametrize("where", ["with", "output"])
def test_a_text_that_looks_like_an_expression_is_no_expression(
    project: Project, literal: Any, meant: str, where: str
) -> None:
    part = {"version": 1, "name": "part", "steps": {"i": {"uses": "debug.echo", "with": {"value": 1}}},
            "outputs": {"o": "${{ steps.i.value }}"}}  # fmt: skip
    project.write("part.yaml", json.dumps(part))

    def spec(value: Any) -> Path:
        steps = {
            "a": {"uses": "debug.echo", "with": {"value": "x"}},
            "p": {"uses": "./part.yaml"},
            "b": {"uses": "debug.echo", "needs": ["a", "p"], "with": {"value": value if where == "with" else 1}},
        }
        outputs = {"o": value if where == "output" else 1}
        return project.write("s.yaml", json.dumps({"version": 1, "name": "s", "steps": steps, "outputs": outputs}))

    approved = api.plan(spec(literal), workspace=project.workspace).to_json()
    with pytest.raises(Refused):
        api.run(spec(meant), workspace=project.workspace, bound_to=approved)


@pytest.mark.parametrize(("n", "shown"), [(1.0, "1.0"), (True, "True"), ("1", '"1"')])
def test_a_value_of_another_type_is_named(project: Project, n: Any, shown: str) -> None:
    spec = project.write("s.yaml", "version: 1\nname: s\nparams: {n: {type: any, default: 1}}\n"
                         "steps: {b: {uses: debug.echo, with: {value: '${{ params.n }}'}}}\n")  # fmt: skip
    approved = api.plan(spec, workspace=project.workspace).to_json()
    with pytest.raises(Refused, match=rf"the parameters differ \(n 1 → {shown}\); b differs"):
        api.run(spec, {"n": n}, workspace=project.workspace, bound_to=approved)


def test_what_a_part_gives_is_bound_with_its_type(project: Project) -> None:
    spec = project.write("s.yaml", "version: 1\nname: s\nsteps:\n  p: {uses: ./part.yaml}\n"
                         "  b: {uses: debug.echo, with: {value: '${{ steps.p.o }}'}}\n")  # fmt: skip
    digests = set()
    given = ('["${{ steps.i.value }}"]', "'[\"${{ steps.i.value }}\"]'", "1", "'1'", "true", "'true'")
    for text in given:
        project.write("part.yaml", "version: 1\nname: part\nsteps: {i: {uses: debug.echo, with: {value: 1}}}\n"
                      f"outputs: {{o: {text}}}\n")  # fmt: skip
        digests.add(api.plan(spec, workspace=project.workspace).digest)
    assert len(digests) == len(given)


def test_a_shared_store_is_bound_without_credentials(project: Project) -> None:
    spec = project.write("spec.yaml", "version: 1\nname: s\nsteps: {a: {uses: debug.echo, with: {value: 1}}}\n")
    text = (
        "sinks: []\nshared:\n  url: 'abfs://one@account.test/e2i?sig=k9Xq2LmZvT77'\n  options:\n"
        "    {account_key: tR7wPz3Qb8, key: Yb5hQn8Wd2, auth: [me, Jd4Kp9Zt6x], headers: {X-Api-Key: Ux3Lf8Rk1v},\n"
        "     connection_string: 'Name=n;AccountKey=Hs6Gv2Mc9q;Suffix=s', region: eu}\n"
    )
    project.write("config/default.yaml", text)
    approved = api.plan(spec, workspace=project.workspace).to_json()
    for hidden in ("k9Xq2LmZvT77", "tR7wPz3Qb8", "Yb5hQn8Wd2", "Jd4Kp9Zt6x", "Ux3Lf8Rk1v", "Hs6Gv2Mc9q"):
        assert hidden not in json.dumps(approved)
        assert hidden in project.workspace.settings.credentials([])
        project.write("config/default.yaml", text.replace(hidden, "aB3dE6gH9k"))
        assert api.plan(spec, workspace=project.workspace).digest == approved["digest"]
    for before, after in (("one@", "two@"), ("region: eu", "region: us"), ("Suffix=s", "Suffix=t")):
        project.write("config/default.yaml", text.replace(before, after))
        with pytest.raises(Refused, match=r"shared\.(url|options\.)"):
            api.run(spec, workspace=project.workspace, bound_to=approved)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [leaf for key, item in items for leaf in _leaves(item, (*path, key))]
    return inner or [path]


def test_an_edited_document_is_never_accepted(project: Project) -> None:
    """Each leaf of the document, changed, taken away and beside another: refused, or no plan."""
    _fill(project)
    text = json.dumps(api.plan(project.root / "spec.yaml", fresh=True, workspace=project.workspace).to_json())
    for path in _leaves(json.loads(text)):
        for how in ("changed", "gone", "added"):
            edited = json.loads(text)
            around = edited
            for key in path[:-1]:
                around = around[key]
            value = around[path[-1]]
            if how == "gone":
                del around[path[-1]]
            elif how == "added" and isinstance(around, dict):
                around["more"] = value
            else:
                around[path[-1]] = not value if isinstance(value, bool) else [value]
            with pytest.raises((Refused, BadInput)) as refused:
                document.check(document.read(edited))
            assert refused.value.code in ("plan-altered", "bad-plan"), (path, how)


def test_a_plan_binds_elsewhere(project: Project, tmp_path: Path) -> None:
    """Another folder, another user of the services, the same content: a laptop and CI."""
    _fill(project)
    database = "tools: {mlflow: {tracking_uri: 'sqlite:///%s/mlflow.db'}}\nsinks: []\nenv: {REGION: eu}\n"
    project.write("config/default.yaml", database % project.root)
    project.write("config/policy.yaml", f"human: {{roots: [., '{project.root}/more']}}\n")
    approved = json.loads(json.dumps(api.plan(project.root / "spec.yaml", workspace=project.workspace).to_json()))
    assert str(project.root) not in json.dumps(approved["environment"])
    other = Project(tmp_path / "ci")
    _fill(other)
    other.write("config/default.yaml", database % other.root)
    other.write("config/policy.yaml", f"human: {{roots: [., '{other.root}/more']}}\n")
    workspace = api.Workspace.open(root=other.root, environ={})
    assert api.run(other.root / "spec.yaml", workspace=workspace, bound_to=approved).status == "succeeded"


def test_code_that_only_the_run_can_know_is_refused_and_a_file_is_named(project: Project) -> None:
    _fill(project)
    late = "late: {uses: debug.echo, with: {value: %s}}"
    call = "c: {uses: python.call, with: {file: '${{ steps.late.value }}', function: f, arguments: {x: 1}}}"
    load = "d: {uses: data.load, with: {path: '${{ steps.late.value }}'}}"
    for text, kind in ((f"{late % 'a.csv'}, {load}", "file"), (f"{late % 'code.py'}, {call}", "code")):
        project.write("spec.yaml", f"version: 1\nname: late\nsteps: {{{text}}}\n")
        planned = api.plan(project.root / "spec.yaml", fresh=True, workspace=project.workspace)
        (item,) = planned.undecided
        assert (item.kind, "${{ steps.late.value }}" in str(item)) == (kind, True)
        approved = json.loads(json.dumps(planned.to_json()))
        if kind == "file":
            assert _run(project, approved, {}, lambda: None).status == "succeeded"
            continue
        with pytest.raises(Refused, match=r"c: the code that it runs is only known during the run \(file: ") as refused:
            _run(project, approved, {}, lambda: None)
        assert refused.value.code == "plan-undecided"
