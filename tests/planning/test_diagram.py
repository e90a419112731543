from __future__ import annotations

from e2i.planning import diagram
from e2i.planning.model import Plan
from plans import step

EVIL = 'a"]; click x "javascript:alert(1)" <b> \\n'


def plan(*names: str) -> Plan:
    return Plan("p", tuple(step(name, "debug.echo", names[:index]) for index, name in enumerate(names)), {})


def test_every_step_is_a_box_and_every_need_an_edge() -> None:
    text = diagram.mermaid(plan("a", "b", "c"))
    assert '  s0["a · debug.echo · run"]:::run' in text.splitlines()
    assert [line.strip() for line in text.splitlines() if "-->" in line] == ["s0 --> s1", "s0 --> s2", "s1 --> s2"]
    assert diagram.dot(plan("a", "b")).count("->") == 1


def test_no_name_can_be_markup() -> None:
    (line,) = [line for line in diagram.mermaid(plan(EVIL)).splitlines() if line.startswith("  s0")]
    label = line.removeprefix('  s0["').removesuffix('"]:::run')
    assert not set(label) & set('"<>')
    dot = diagram.dot(plan(EVIL))
    assert '\\"' in dot and 'a"]' not in dot
