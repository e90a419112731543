"""What expressions see: through parts, across cells, and of steps that gave nothing."""

from __future__ import annotations

from typing import Any

import pytest

from e2i.spec.expansion.expand import expand
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import Pending, plain
from e2i.spec.included import gather
from e2i.spec.load import load
from e2i.spec.problems import Problem
from e2i.spec.values import ExpressionError, MissingError

PREP = """
version: 1
name: prep
params:
  table: {type: any}
  factor: {type: integer, default: 2, min: 1}
defaults: {timeout: 3m}
steps:
  a: {uses: debug.echo, with: {value: "${{ params.table }}"}}
  b:
    uses: debug.echo
    with: {value: ["${{ steps.a.value }}", "${{ params.factor }}"]}
    timeout: 5m
    agent: model_trainer
outputs:
  first: ${{ steps.a.value }}
  sum: ${{ steps.b.value }}
  both: ["${{ steps.a.value }}", "${{ params.factor }}"]
"""


ANY = "version: 1\nname: t\nparams: {x: {type: any}}\n"


def expanded(steps: str, params: str = "", **files: str) -> tuple[Expanded, list[Problem]]:
    text = f"version: 1\nname: n\n{params}steps:\n{steps}"
    loaded, problems = load(text, "s.yaml")
    assert loaded is not None, problems
    given = {f"{name}.yaml": instance for name, instance in {"prep": PREP, **files}.items()}
    loaded, problems = gather(loaded, "s.yaml", given.__getitem__)
    assert problems == []
    values = {name: spec.default for name, spec in loaded.spec.params.items() if not spec.required}
    return expand(loaded, values, {})


def value(found: Expanded, node: str, outputs: dict[str, Any]) -> Any:
    unit = found.nodes[node]
    return found.resolve(unit.step.with_, unit, outputs)["value"]


def test_the_steps_of_a_part_carry_its_step_in_front() -> None:
    found, problems = expanded("  p: {uses: ./prep.yaml, with: {table: 1}}\n  q: {uses: debug.echo}\n")
    assert (list(found.nodes), problems) == (["q", "p/a", "p/b"], [])
    assert found.nodes["p/a"].path == ("steps", "a")
    assert found.nodes["p/a"].document.file == "prep.yaml"


def test_a_part_sees_its_own_parameters_and_steps_only() -> None:
    found, _ = expanded(
        "  p: {uses: ./prep.yaml, with: {table: '${{ params.x }}'}}\n", "params: {x: {type: integer, default: 7}}\n"
    )
    assert value(found, "p/a", {}) == 7
    assert value(found, "p/b", {"p/a": {"value": "A"}}) == ["A", 2]


def test_what_a_step_gives_crosses_into_a_part_and_out_of_it() -> None:
    found, _ = expanded(
        "  load: {uses: debug.echo}\n"
        "  p: {uses: ./prep.yaml, with: {table: '${{ steps.load.value }}', factor: 9}}\n"
        "  use: {uses: debug.echo, with: {value: '${{ steps.p.both }}'}}\n"
    )
    assert [found.upstream(found.nodes[name]) for name in ("p/a", "p/b", "use")] == [("load",), ("p/a",), ("p/a",)]
    assert isinstance(value(found, "p/a", {}), Pending)
    assert value(found, "p/a", {"load": {"value": [1]}}) == [1]
    assert value(found, "use", {"p/a": {"value": "A"}}) == ["A", 9]


def test_a_part_as_a_whole_is_a_mapping_of_its_outputs() -> None:
    found, _ = expanded(
        "  p: {uses: ./prep.yaml, with: {table: 1}}\n  use: {uses: debug.echo, with: {value: '${{ steps.p }}'}}\n"
    )
    outputs = {"p/a": {"value": "A"}, "p/b": {"value": "B"}}
    assert value(found, "use", outputs) == {"first": "A", "sum": "B", "both": ["A", 2]}
    assert isinstance(value(found, "use", {"p/a": {"value": "A"}}), Pending)


def test_each_cell_has_a_part_of_its_own_and_cells_of_parts_are_paired() -> None:
    found, _ = expanded(
        "  p: {uses: ./prep.yaml, matrix: {f: [1, 2]}, with: {table: 0, factor: '${{ matrix.f }}'}}\n"
        "  pair: {uses: debug.echo, matrix: {f: [1, 2]}, with: {value: '${{ steps.p.sum }}'}}\n"
        "  all: {uses: debug.echo, with: {value: '${{ steps.p }}'}}\n"
        "  one: {uses: debug.echo, with: {value: '${{ steps.p[1].outputs.first }}'}}\n"
    )
    assert found.upstream(found.nodes["pair[2]"]) == ("p[2]/b",)
    assert found.upstream(found.nodes["one"]) == ("p[1]/a", "p[2]/a")
    outputs = {f"p[{f}]/{step}": {"value": f"{step}{f}"} for f in (1, 2) for step in "ab"}
    assert value(found, "p[2]/b", outputs) == ["a2", 2]
    assert value(found, "one", outputs) == "a2"
    assert [combination["outputs"]["sum"] for combination in value(found, "all", outputs)] == ["b1", "b2"]


def test_order_and_condition_of_the_step_count_for_all_in_its_part() -> None:
    found, _ = expanded(
        "  gate: {uses: debug.echo}\n  first: {uses: debug.echo}\n"
        "  p: {uses: ./prep.yaml, needs: [first], when: '${{ steps.gate.value }}', with: {table: 1}}\n"
        "  last: {uses: debug.echo, needs: [p]}\n"
    )
    assert found.upstream(found.nodes["p/b"]) == ("first", "gate", "p/a")
    assert found.upstream(found.nodes["last"]) == ("p/a", "p/b")
    assert found.condition(found.nodes["p/b"], {"gate": {"value": False}})[0] is False
    assert isinstance(found.condition(found.nodes["p/b"], {})[0], Pending)


def test_options_of_the_step_are_defaults_of_its_part() -> None:
    found, _ = expanded(
        "  p: {uses: ./prep.yaml, with: {table: 1}, timeout: 1m, on_error: continue, cache: false,"
        " agent: data_preparer, tags: [t]}\n"
    )
    a, b = found.nodes["p/a"], found.nodes["p/b"]
    assert (a.options.timeout, b.options.timeout) == ("3m", "5m")
    assert (a.options.on_error, a.options.cache) == ("continue", False)
    assert (a.agent, b.agent) == ("data_preparer", "model_trainer")
    assert {"p", "p/a", "tag:t"} <= a.labels


def test_a_value_that_only_a_run_knows_is_checked_when_it_is_known() -> None:
    found, _ = expanded(
        "  load: {uses: debug.echo}\n  p: {uses: ./prep.yaml, with: {table: 1, factor: '${{ steps.load.value }}'}}\n"
    )
    with pytest.raises(ExpressionError, match='parameter "factor" of step "p" must be at least 1, not 0'):
        value(found, "p/b", {"load": {"value": 0}, "p/a": {"value": 1}})


def test_a_step_that_gave_nothing_is_missing_for_those_who_ask() -> None:
    found, _ = expanded(
        "  a: {uses: debug.echo}\n"
        "  p: {uses: ./prep.yaml, with: {table: '${{ steps.a.value }}'}}\n"
        "  b: {uses: debug.echo, with: {value: \"${{ steps.a.value | default('none') }}\"}}\n"
        "  c: {uses: debug.echo, with: {value: '${{ steps.p.sum is defined }}'}}\n"
        "  d: {uses: debug.echo, with: {value: '${{ steps.a.value }}'}}\n"
    )
    gone: dict[str, Any] = {"a": None, "p/a": None, "p/b": None}
    assert value(found, "b", gone) == "none"
    assert value(found, "c", gone) is False
    with pytest.raises(MissingError):
        value(found, "d", gone)
    assert found.sources(found.nodes["b"]).steps == {"a": False}
    assert found.sources(found.nodes["d"]).steps == {"a": True}


def test_cells_that_gave_nothing_are_not_in_the_list() -> None:
    found, _ = expanded(
        "  a: {uses: debug.echo, matrix: {x: [1, 2]}}\n"
        "  b: {uses: debug.echo, with: {value: '${{ steps.a | default([]) }}'}}\n"
    )
    assert value(found, "b", {"a[1]": None, "a[2]": {"value": 2}}) == [{"matrix": {"x": 2}, "outputs": {"value": 2}}]


def test_a_change_behind_a_reference_into_a_part_is_seen() -> None:
    def written(output: str) -> Any:
        found, _ = expanded(
            "  load: {uses: debug.echo}\n"
            f"  p: {{uses: ./prep.yaml, with: {{table: '${{{{ steps.load.{output} }}}}'}}}}\n"
        )
        return plain(value(found, "p/a", {}))

    assert written("value") != written("other")
    assert written("value")["$through"] == {"params.table": "${{ steps.load.value }}"}


def test_a_value_is_not_passed_on_for_ever() -> None:
    through = ANY + "steps:\n  s: {uses: debug.echo}\noutputs: {x: '${{ params.x }}'}\n"
    steps = "  p0: {uses: ./t.yaml, with: {x: '${{ steps.first.value }}'}}\n  first: {uses: debug.echo}\n"
    steps += "".join(f"  p{n}: {{uses: ./t.yaml, with: {{x: '${{{{ steps.p{n - 1}.x }}}}'}}}}\n" for n in range(1, 100))
    found, _ = expanded(steps + "  last: {uses: debug.echo, with: {value: '${{ steps.p99.x }}'}}\n", t=through)
    reference = found.nodes["last"].references[0][1]
    assert found.behind(found.nodes["last"], reference).too_far
    assert isinstance(value(found, "last", {"first": {"value": 1}}), Pending)


def test_steps_under_finally_come_last_also_those_of_parts() -> None:
    tidy = "version: 1\nname: t\nsteps:\n  s: {uses: debug.echo}\nfinally:\n  f: {uses: debug.echo}\n"
    loaded, _ = load(
        "version: 1\nname: n\nfinally:\n  end: {uses: ./t.yaml}\n"
        "steps:\n  p: {uses: ./t.yaml}\n  q: {uses: debug.echo}\n",
        "s.yaml",
    )
    assert loaded is not None
    loaded, _ = gather(loaded, "s.yaml", {"t.yaml": tidy}.__getitem__)
    found, _ = expand(loaded, {}, {})
    assert list(found.nodes) == ["q", "p/s", "p/f", "end/s", "end/f"]
    assert [name for name, node in found.nodes.items() if node.final] == ["p/f", "end/s", "end/f"]


@pytest.mark.parametrize("start", ["1", "'${{ steps.first.value }}'"])
def test_a_value_that_doubles_in_every_part_is_refused_not_made(start: str) -> None:
    twice = ANY + (
        "steps:\n  s: {uses: debug.echo, with: {value: '${{ params.x }}'}}\n"
        "outputs: {x: ['${{ params.x }}', '${{ params.x }}']}\n"
    )
    steps = f"  first: {{uses: debug.echo}}\n  p0: {{uses: ./t.yaml, with: {{x: {start}}}}}\n"
    steps += "".join(f"  p{n}: {{uses: ./t.yaml, with: {{x: '${{{{ steps.p{n - 1}.x }}}}'}}}}\n" for n in range(1, 19))
    found, _ = expanded(steps, t=twice)
    assert value(found, "p2/s", {"first": {"value": 1}}) == [[1, 1], [1, 1]]
    if start != "1":
        assert isinstance(value(found, "p18/s", {"first": {"value": 1}}), Pending)  # too far away
        with pytest.raises(ExpressionError, match="more than"):
            found.resolve("${{ steps.p12.x[0] }}", None, {"first": {"value": list(range(100))}})
