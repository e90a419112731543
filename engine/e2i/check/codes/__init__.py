"""Collects the explanations of all codes. Codes of problems are explained beside the rules that report them, codes of
commands and runs in this package.
"""

from __future__ import annotations

from e2i.catalog import columns as catalog_columns
from e2i.check import (
    actions,
    braces,
    literals,
    machine,
    nulls,
    order,
    parameters,
    paths,
    policy,
    promotions,
    references,
    secrecy,
    skips,
    targets,
    unread,
)
from e2i.check.codes import approvals, causal, clusters, commands, features, places, programs, services, tables, testing
from e2i.estimators import columns as model_columns
from e2i.estimators import fold_columns, hyperparameters, option_columns
from e2i.queries import flow as query_flow
from e2i.spec import composer, document, included, load, params, problems, shape, syntax
from e2i.spec.expansion import expand
from e2i.spec.problems import Code
from e2i.tools.bentoml import columns as bentoml_columns
from e2i.tools.causal import problem_codes as causal_codes
from e2i.tools.data import columns as data_columns
from e2i.tools.feast import columns as feast_columns
from e2i.tools.great_expectations import columns as suite_columns
from e2i.tools.model import after_columns, ensemble_columns, judging_columns, validating_columns
from e2i.tools.optuna import columns as search_columns
from e2i.tools.shap import columns as shap_columns

PROBLEMS: dict[str, tuple[Code, ...]] = {
    "Reading a spec": (*document.CODES, *composer.CODES, *syntax.CODES),
    "The shape of a spec": (*shape.CODES, *load.CODES, *params.CODES, *included.CODES, *expand.CODES, *problems.CODES),
    "Steps and references": (
        *(*actions.CODES, *parameters.CODES, *references.CODES, *order.CODES, *skips.CODES),
        *(*nulls.CODES, *promotions.CODES, *unread.CODES, *braces.CODES, *targets.CODES, *machine.CODES),
    ),
    "Columns of tables": (
        *(*catalog_columns.CODES, *data_columns.CODES, *model_columns.CODES, *hyperparameters.CODES),
        *(
            *suite_columns.CODES,
            *feast_columns.CODES,
            *bentoml_columns.CODES,
            *search_columns.CODES,
            *fold_columns.CODES,
            *judging_columns.CODES,
            *after_columns.CODES,
            *ensemble_columns.CODES,
            *validating_columns.CODES,
            *option_columns.CODES,
        ),
        *(*query_flow.CODES, *shap_columns.CODES, *causal_codes.CODES),
    ),
    "What is allowed": (*policy.CODES, *paths.CODES, *literals.CODES, *secrecy.CODES),
}
"""Codes of the problems of a spec, in the order in which a spec is processed."""

GROUPS: dict[str, tuple[Code, ...]] = {
    **PROBLEMS,
    "Commands and runs": commands.CODES,
    "Approvals of plans": approvals.CODES,
    "The server for agents": approvals.AGENTS,
    "While a step runs: tables, models, Python": tables.CODES,
    "While a step runs: causal questions": causal.CODES,
    "While a step runs: databases, remote locations": places.CODES,
    "While a step runs: feature stores": features.CODES,
    "While a step runs: trackers, studies, registries, services": services.CODES,
    "Clusters that execute steps": clusters.CODES,
    "Tests of specs": testing.CODES,
    "The Python interface": programs.CODES,
}
"""All codes, from a spec's text to its run."""

CODES: dict[str, Code] = {code.code: code for group in GROUPS.values() for code in group}


def find(code: str) -> Code | None:
    """Returns the description of a code, or None."""
    return CODES.get(code)
