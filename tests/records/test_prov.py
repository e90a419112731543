"""Documents against the terms of https://www.w3.org/TR/prov-o/, read with the context that they contain."""

from __future__ import annotations

from typing import Any

from e2i.records import prov
from e2i.records.past import PastRun
from records.past import altered, digest, past_run, step_of, table, with_result, with_steps

KINDS = {"prov:Entity", "prov:Activity", "prov:Agent", "prov:SoftwareAgent", "prov:Plan"}


def nodes(run: PastRun) -> dict[str, dict[str, Any]]:
    found = prov.document(run)["@graph"]
    assert len({node["@id"] for node in found}) == len(found), "every thing has one node"
    return {node["@id"]: node for node in found}


def kinds(node: dict[str, Any]) -> set[str]:
    return {node["@type"]} if isinstance(node["@type"], str) else set(node["@type"])


def step_id(step: str, run: str = "20261122-000000-abcdef") -> str:
    return f"urn:e2i:run:{run}:step:{step}"


def test_every_relation_leads_to_a_node_of_the_right_kind() -> None:
    found = nodes(past_run())
    ranges = {
        "prov:used": "prov:Entity",
        "prov:wasDerivedFrom": "prov:Entity",
        "prov:wasGeneratedBy": "prov:Activity",
        "prov:wasInformedBy": "prov:Activity",
        "prov:wasAssociatedWith": "prov:SoftwareAgent",
    }
    for node in found.values():
        assert kinds(node) <= KINDS
        for relation, kind in ranges.items():
            for target in node.get(relation, ()):
                assert kind in kinds(found[target]), (node["@id"], relation, target)


def test_every_term_is_one_of_the_context() -> None:
    document = prov.document(past_run())
    prefixes = {term for term, meaning in document["@context"].items() if isinstance(meaning, str)}
    for node in document["@graph"]:
        for term in node:
            assert term.startswith("@") or term in prefixes or term.partition(":")[0] in prefixes, term


def test_a_chain_of_derivations_leads_back_to_the_file() -> None:
    found = nodes(past_run())
    seen, ahead = set(), [f"urn:e2i:{digest('e')}"]
    while ahead:
        name = ahead.pop()
        seen.add(name)
        ahead += found[name].get("prov:wasDerivedFrom", [])
    assert f"urn:e2i:file:data/x.csv:{digest('a')}" in seen
    assert found[f"urn:e2i:{digest('e')}"]["prov:wasGeneratedBy"] == [step_id("train")]


def test_the_same_content_is_one_entity_of_two_activities() -> None:
    run = altered(past_run(), "split", outputs={"train": table("c"), "test": table("b")})
    entity = nodes(run)[f"urn:e2i:{digest('b')}"]
    assert entity["prov:wasGeneratedBy"] == [step_id("load"), step_id("split")]


def test_a_reused_step_is_the_activity_of_the_run_that_executed_it() -> None:
    run = altered(past_run(), "load", status="reused", attempts=0)
    run = with_result(run, "f-load", run="before")
    node = nodes(with_steps(run, step_of(run, "load"))).get(step_id("load", "before"))
    assert node is not None
    assert "prov:startedAtTime" not in node and "prov:wasAssociatedWith" not in node


def test_plan_commit_and_agent_are_reported() -> None:
    found = nodes(past_run())
    run = found["urn:e2i:run:20261122-000000-abcdef"]
    association = run["prov:qualifiedAssociation"]
    plan = found[association["prov:hadPlan"]]
    assert (plan["e2i:commit"], plan["e2i:dirty"]) == ("1" * 40, True)
    assert kinds(found[association["prov:agent"]]) == {"prov:Agent", "prov:SoftwareAgent"}
    assert run["prov:startedAtTime"].endswith("+00:00")
