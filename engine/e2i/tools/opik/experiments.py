"""Find the experiment of an earlier attempt. In: Opik's client and a name. Out: its scores, if it is complete."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from e2i.tools.opik.evaluated import Evaluated, ScoredCase


def complete(client: Any, name: str, cases: int) -> Evaluated | None:
    """Return the complete experiment of that name, with the scores that Opik has; None when there is none.

    Experiments that an attempt left incomplete are deleted, so one remains in the end.
    """
    from opik.exceptions import ExperimentNotFound

    try:
        known = client.get_experiments_by_name(name)
    except ExperimentNotFound:
        return None
    left = []
    for experiment in known:
        data = experiment.get_experiment_data()
        if data.name != name:  # the server finds parts of names, too
            continue
        items = experiment.get_items() if data.status == "completed" else []
        if len(items) == cases:
            return _evaluated(name, items)
        left.append(data.id)
    if left:
        client.rest_client.experiments.delete_experiments_by_id(ids=left)
    return None


def count(client: Any, name: str) -> int:
    """Return the cases of the complete experiment of that name; 0 when there is none."""
    from opik.exceptions import ExperimentNotFound

    try:
        known = client.get_experiments_by_name(name)
    except ExperimentNotFound:
        return 0
    complete = [one for one in known if one.get_experiment_data().status == "completed"]
    return max((len(one.get_items()) for one in complete if one.get_experiment_data().name == name), default=0)


def _evaluated(name: str, items: Any) -> Evaluated:
    found = [
        ScoredCase(
            int(item.dataset_item_data["case_number"]),
            (item.evaluation_task_output or {}).get("output"),
            {score["name"]: float(score["value"]) for score in item.feedback_scores},
        )
        for item in items
    ]
    names = dict.fromkeys(metric for case in found for metric in case.scores)
    means = {metric: fmean(case.scores[metric] for case in found if metric in case.scores) for metric in names}
    return Evaluated(means, name, sorted(found, key=lambda case: case.number), again=True)
