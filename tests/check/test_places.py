"""Places that the operator names: what a spec of each origin may name, before the run, and that nothing else reaches them."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i import api
from e2i.policy import Origin

SETTINGS = """
tools:
  database:
    connections:
      warehouse: {url: "postgresql://u:canary-password@db.example.com/sales", read_only: false}
      local: {url: "sqlite:///data/shop.db"}
"""
POLICY = """
human: {connections: ["*"], hosts: ["*"]}
agent: {connections: [local, warehouse]}
"""
READ = 'version: 1\nname: x\nsteps:\n  a: {uses: database.read, with: {connection: NAME, table: t}}\noutputs: {t: "${{ steps.a.table }}"}\n'
WRITE = READ.replace(
    "outputs:",
    '  b: {uses: database.write, with: {connection: NAME, table: "${{ steps.a.table }}", into: u, mode: append}}\noutputs:',
)


def codes(root: Path, spec: str, origin: Origin, policy: str | None = POLICY) -> list[tuple[str, str | None]]:
    config = root / "config"
    config.mkdir(exist_ok=True)
    (config / "default.yaml").write_text(SETTINGS)
    if policy is not None:
        (config / "policy.yaml").write_text(policy)
    workspace = api.Workspace.open(root=root, environ={}, origin=origin.value)
    problems = api.validate(spec, workspace=workspace).errors
    assert not any("canary" in str(problem) for problem in problems)
    return [(problem.code, problem.hint) for problem in problems]


@pytest.mark.parametrize("origin", list(Origin))
def test_a_name_that_is_not_there_is_found_before_the_run(tmp_path: Path, origin: Origin) -> None:
    found = codes(tmp_path, READ.replace("NAME", "warehose"), origin, "agent: {connections: ['*'], hosts: ['*']}")
    assert found == [("unknown-connection", 'did you mean "warehouse"?')]


def test_agents_may_use_what_the_policy_lists_and_hosts_count_too(tmp_path: Path) -> None:
    assert codes(tmp_path, READ.replace("NAME", "local"), Origin.AGENT) == []
    assert [code for code, _ in codes(tmp_path, READ.replace("NAME", "warehouse"), Origin.AGENT)] == ["policy-host"]
    assert codes(tmp_path, WRITE.replace("NAME", "warehouse"), Origin.HUMAN) == []
    (tmp_path / "config" / "policy.yaml").unlink()
    assert [code for code, _ in codes(tmp_path, READ.replace("NAME", "local"), Origin.AGENT, None)] == [
        "policy-connection"
    ]
    assert [code for code, _ in codes(tmp_path, READ.replace("NAME", "no"), Origin.AGENT, None)] == [
        "policy-connection"
    ]


def test_nothing_is_written_to_a_place_for_reading(tmp_path: Path) -> None:
    assert [code for code, _ in codes(tmp_path, WRITE.replace("NAME", "local"), Origin.HUMAN)] == ["policy-connection"]


def test_a_key_that_is_no_column_is_found_before_the_run(tmp_path: Path) -> None:
    spec = WRITE.replace("NAME", "warehouse").replace("table: t}", "table: t, columns: {region: string, id: integer}}")
    spec = spec.replace("mode: append", "mode: upsert, key: [regoin]")
    assert codes(tmp_path, spec, Origin.HUMAN) == [("unknown-column", 'did you mean "region"?')]
