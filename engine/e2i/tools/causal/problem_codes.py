"""Describe the problems of causal questions that a plan finds, each with a wrong and a right example."""

from __future__ import annotations

from e2i.spec.problems import Code

_DATA = "steps:\n  data: {uses: dataset.hcp}\n"
_ASK = (
    _DATA + '  effect:\n    uses: causal.estimate\n    with:\n      table: "${{ steps.data.journeys }}"\n'
    "      treatment: treatment\n      outcome: outcome\n"
)
_IV = _ASK.replace("estimate", "iv") + "      instruments: [call_frequency]\n      graph: "
CODES = (
    Code(
        "bad-graph",
        "A causal graph that cannot be used",
        "A line is no chain of arrows, the arrows go round, a name is no column, or a name of the question is missing.",
        "Correct the line. List names that are not measured in `unmeasured`.",
        _ASK + "      graph: [treatment -> outcome -> treatment]\n",
        _ASK + "      graph: [treatment -> outcome, treatment <- region -> outcome]\n",
    ),
    Code(
        "bad-instrument",
        "An instrument that the causal graph does not allow",
        "An instrument changes the treatment, and the outcome in no other way. By the graph, it does not.",
        "Use an instrument that the hint names, adjust for the columns on the path, or correct the graph.",
        _IV + "[call_frequency -> treatment -> outcome, call_frequency -> outcome]\n",
        _IV + "[call_frequency -> treatment -> outcome, treatment <-> outcome]\n",
    ),
    Code(
        "not-a-number",
        "A column where a number is needed",
        "The column is text or a time, and its role in a design is that of a number.",
        "Name a column of numbers, or make one with table.derive.",
        _IV.replace("outcome: outcome", "outcome: region") + "[]\n",
        _IV + "[]\n",
    ),
    Code(
        "open-path",
        "A path that adjusting leaves open",
        "By the causal graph, treatment and outcome are related in another way than by the effect, and what is "
        "adjusted for does not close that path.",
        "Adjust for the columns that the hint names, measure one on the path, or use another design.",
        _ASK + "      graph: [treatment -> outcome, treatment <- region -> outcome, brand -> outcome]\n"
        "      confounders: [brand]\n",
        _ASK + "      graph: [treatment -> outcome, treatment <- region -> outcome, brand -> outcome]\n"
        "      confounders: [region]\n",
    ),
    Code(
        "bad-control",
        "A column that must not be adjusted for",
        "A confounder is a cause of the treatment and of the outcome. The treatment, the outcome, what is computed "
        "from them and what becomes known only after the treatment are none: adjusting for them hides an "
        "effect or invents one.",
        "Remove the column from `confounders` or `effect_modifiers`. If it is known before the treatment is decided, "
        "name the moment in `decided_at`.",
        _DATA + '  effect:\n    uses: causal.estimate\n    with: {table: "${{ steps.data.journeys }}", treatment: '
        "treatment, outcome: outcome, confounders: [outcome, region]}\n",
        _DATA + '  effect:\n    uses: causal.estimate\n    with: {table: "${{ steps.data.journeys }}", treatment: '
        "treatment, outcome: outcome, confounders: [specialty, region]}\n",
    ),
)
