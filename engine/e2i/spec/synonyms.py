"""Maps words of other tools to ours: GitHub Actions, GitLab, Airflow, dbt, scikit-learn, MLflow.

In: a word that a spec does not have. Out: our word with a hint, and a fix where the meaning is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from e2i.spec import fixes, suggest
from e2i.spec.problems import Fixes

Path = tuple[str | int, ...]

SPEC_KEYS = {
    **dict.fromkeys(("jobs", "tasks", "stages", "nodes", "pipeline", "job"), "steps"),
    **dict.fromkeys(("parameters", "inputs", "variables", "vars", "arguments", "args"), "params"),
    **dict.fromkeys(("always", "cleanup", "teardown", "on_exit"), "finally"),
    **dict.fromkeys(("results", "returns"), "outputs"),
    **dict.fromkeys(("title", "id"), "name"),
    **dict.fromkeys(("default", "common"), "defaults"),
}
STEP_KEYS = {
    **dict.fromkeys(("if", "condition", "only_if", "run_if"), "when"),
    **dict.fromkeys(
        ("depends_on", "depends-on", "dependencies", "requires", "upstream", "after", "dependsOn"), "needs"
    ),
    **dict.fromkeys(("inputs", "args", "arguments", "parameters", "params", "config", "kwargs", "input"), "with"),
    **dict.fromkeys(("action", "operator", "tool", "task", "type", "use", "plugin"), "uses"),
    **dict.fromkeys(("strategy", "foreach", "for_each", "map_over", "grid", "loop", "with_items"), "matrix"),
    **dict.fromkeys(("labels", "label", "tag"), "tags"),
}
"""Keys whose value has the same shape under our key, so that only the key changes."""
CONVERTED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(
        ("allow_failure", "ignore_errors", "continue_on_error", "continue-on-error"),
        ("on_error", lambda value: {True: "continue", False: "fail"}[value]),
    ),
    **dict.fromkeys(("timeout-minutes", "timeout_minutes"), ("timeout", lambda value: f"{_positive(value)}m")),
    **dict.fromkeys(("timeout_seconds", "timeout-seconds"), ("timeout", lambda value: f"{_positive(value)}s")),
    **dict.fromkeys(
        ("retries", "max_retries", "retry_count", "max-retries"),
        ("retry", lambda value: {"attempts": _positive(value) + 1}),
    ),
    **dict.fromkeys(("depends_on", "depends-on", "dependencies", "requires", "upstream", "after", "dependsOn"),
                    ("needs", lambda value: [_text(value)])),
    "strategy": ("matrix", lambda value: _only(value, "matrix")),
}  # fmt: skip
"""Keys whose value has another shape under our key, and the function that converts it. It raises for other values."""
OTHERWISE = {
    "name": "a step has no name: its id is its key under steps:, and description: is for people",
    "id": "the id of a step is its key under steps:",
    **dict.fromkeys(
        ("run", "script", "command", "shell", "bash", "cmd"),
        "steps run no shell commands; uses: python.call calls a function in a file",
    ),
    **dict.fromkeys(
        ("on", "schedule", "cron", "trigger", "triggers"), "a spec has no triggers: call e2i-run from cron or CI"
    ),
    "env": "specs read ${{ env.NAME }}; the operator lists the names under env: in config/",
    "secrets": "specs refer to ${{ secrets.NAME }}; the operator lists the names under secrets: in config/",
    **dict.fromkeys(
        ("allow_failure", "ignore_errors", "continue_on_error", "continue-on-error"),
        "on_error: continue lets a run go on after a failure",
    ),
    **dict.fromkeys(
        ("timeout-minutes", "timeout_minutes", "timeout_seconds", "timeout-seconds"),
        "timeout takes a unit: 90s, 5m, 2h",
    ),
    **dict.fromkeys(
        ("retries", "max_retries", "retry_count", "max-retries"), "retry: {attempts: …} counts the first attempt too"
    ),
    **dict.fromkeys(("with_sequence", "batch_size", "batch"), "a matrix runs a step once for each value"),
    "outputs": "outputs of an action need no declaration: use steps.ID.NAME; `e2i catalog ACTION` lists the names",
    "version": "the version of the language is a top-level key of the spec",
}
"""Hints for keys that have no counterpart of the same shape."""
ACTIONS = {
    **dict.fromkeys(
        (
            *("sklearn.train", "sklearn.fit", "xgboost.train", "xgboost.fit", "lightgbm.train", "lightgbm.fit"),
            *("catboost.train", "catboost.fit", "model.fit", "ml.train", "train.model"),
        ),
        "model.train",
    ),
    **dict.fromkeys(
        ("data.read", "data.read_csv", "data.read_parquet", "pandas.read_csv", "pandas.read_parquet", "csv.read"),
        "data.load",
    ),
    **dict.fromkeys(("data.filter", "data.where", "pandas.filter", "pandas.query", "data.drop"), "data.select"),
    **dict.fromkeys(
        ("data.save", "data.export", "data.store", "data.to_csv", "pandas.to_csv", "pandas.to_parquet", "csv.write"),
        "data.write",
    ),
    **dict.fromkeys(("data.describe", "data.summary", "pandas.describe", "ydata.profile"), "data.profile"),
    **dict.fromkeys(("data.compare", "pandas.compare", "table.diff"), "data.diff"),
    **dict.fromkeys(
        ("data.join", "data.merge", "pandas.merge", "pandas.join", "polars.join", "spark.join"), "table.join"
    ),
    **dict.fromkeys(("data.asof", "pandas.merge_asof", "polars.join_asof", "table.asof_join"), "table.asof"),
    **dict.fromkeys(
        ("data.aggregate", "data.groupby", "data.group_by", "pandas.groupby", "polars.group_by", "table.group_by"),
        "table.aggregate",
    ),
    **dict.fromkeys(("data.window", "data.lag", "data.rolling", "pandas.rolling", "pandas.shift"), "table.window"),
    **dict.fromkeys(
        ("data.derive", "data.transform", "data.mutate", "data.map", "pandas.assign", "table.compute"), "table.derive"
    ),
    **dict.fromkeys(("data.stack", "data.concat", "data.union", "data.append", "pandas.concat"), "table.stack"),
    **dict.fromkeys(("data.unpivot", "data.melt", "pandas.melt"), "table.unpivot"),
    **dict.fromkeys(("data.pivot", "pandas.pivot", "pandas.pivot_table"), "table.pivot"),
    **dict.fromkeys(
        ("data.dedupe", "data.deduplicate", "pandas.drop_duplicates", "table.distinct", "table.drop_duplicates"),
        "table.dedupe",
    ),
    **dict.fromkeys(("data.sort", "pandas.sort_values", "table.order_by"), "table.sort"),
    **dict.fromkeys(("data.rename", "pandas.rename"), "table.rename"),
    **dict.fromkeys(("data.cast", "data.convert", "pandas.astype"), "table.cast"),
    **dict.fromkeys(("data.fill", "data.fillna", "pandas.fillna"), "table.fill"),
    **dict.fromkeys(("data.sample", "pandas.sample"), "table.sample"),
    **dict.fromkeys(("sql.run", "sql.execute", "sql.select", "duckdb.query", "duckdb.sql", "spark.sql"), "sql.query"),
    **dict.fromkeys(
        ("sql.read", "pandas.read_sql", "postgres.read", "postgres.query", "sqlite.read", "database.query"),
        "database.read",
    ),
    **dict.fromkeys(
        ("sql.write", "pandas.to_sql", "postgres.write", "sqlite.write", "database.insert", "database.upsert"),
        "database.write",
    ),
    **dict.fromkeys(("s3.get", "s3.download", "http.get", "http.download", "remote.download"), "remote.get"),
    **dict.fromkeys(("s3.put", "s3.upload", "gcs.upload", "remote.upload"), "remote.put"),
    **dict.fromkeys(("sklearn.train_test_split", "data.train_test_split", "data.partition"), "data.split"),
    **dict.fromkeys(
        ("model.score", "model.test", "model.metrics", "sklearn.evaluate", "mlflow.evaluate"), "model.evaluate"
    ),
    **dict.fromkeys(("model.infer", "model.inference", "sklearn.predict", "xgboost.predict"), "model.predict"),
    **dict.fromkeys(("model.compare", "model.best", "model.choose"), "model.select"),
    **dict.fromkeys(("model.explain", "shap.values", "shap.summary", "shap.explainer"), "shap.explain"),
    **dict.fromkeys(
        ("econml.fit", "causal.fit", "causal.ate", "dowhy.estimate", "dowhy.estimate_effect"), "causal.estimate"
    ),
    **dict.fromkeys(("dowhy.refute", "dowhy.refute_estimate", "causal.sensitivity"), "causal.refute"),
    **dict.fromkeys(
        ("causal.drtest", "econml.drtester", "causal.qini", "causal.autoc", "causal.calibrate"), "causal.validate"
    ),
    **dict.fromkeys(("causal.select", "causal.choose", "causal.rank"), "causal.compare"),
    **dict.fromkeys(("causal.policy_tree", "causal.target", "econml.policy", "causal.uplift_policy"), "causal.policy"),
    **dict.fromkeys(("causal.regression_discontinuity", "rdrobust.rdrobust", "causal.rd"), "causal.rdd"),
    **dict.fromkeys(("causal.2sls", "linearmodels.iv2sls", "causal.instrument", "econml.orthoiv"), "causal.iv"),
    **dict.fromkeys(("causal.difference_in_differences", "causal.diff_in_diff", "causal.event_study"), "causal.did"),
    **dict.fromkeys(("causal.ab_test", "causal.abtest", "causal.cuped", "model.ab_test"), "causal.experiment"),
    **dict.fromkeys(("causal.sample_size", "causal.power_analysis"), "causal.power"),
    **dict.fromkeys(("causal.cate", "causal.predict", "econml.effect"), "causal.effects"),
    **dict.fromkeys(("optuna.optimize", "optuna.study", "optuna.search", "model.tune", "hpo.tune"), "optuna.tune"),
    **dict.fromkeys(("mlflow.log_model", "mlflow.register_model", "model.register"), "mlflow.register"),
    **dict.fromkeys(("mlflow.load_model", "mlflow.get_model", "mlflow.download"), "mlflow.load"),
    **dict.fromkeys(
        ("mlflow.transition", "mlflow.transition_model_version_stage", "mlflow.set_alias", "model.promote"),
        "mlflow.promote",
    ),
    **dict.fromkeys(
        ("mlflow.best", "mlflow.search", "mlflow.search_model_versions", "mlflow.find_best", "mlflow.best_model"),
        "mlflow.find",
    ),
    **dict.fromkeys(("mlflow.compare_models", "mlflow.compare_with_champion", "mlflow.champion"), "mlflow.compare"),
    **dict.fromkeys(
        (
            *(
                "mlflow.log_metrics",
                "mlflow.log_metric",
                "mlflow.log_params",
                "mlflow.log_param",
                "mlflow.log_artifact",
            ),
            *("mlflow.log_artifacts", "mlflow.log_table", "mlflow.log_figure", "mlflow.track"),
        ),
        "mlflow.log",
    ),
    **dict.fromkeys(
        ("great_expectations.check", "great_expectations.run", "gx.validate", "ge.validate", "data.validate"),
        "great_expectations.validate",
    ),
    **dict.fromkeys(
        ("great_expectations.validate_table", "great_expectations.validate_sql", "gx.checkpoint", "ge.checkpoint"),
        "great_expectations.validate_source",
    ),
    **dict.fromkeys(
        ("great_expectations.propose", "great_expectations.suggest", "great_expectations.profiler", "gx.profile"),
        "great_expectations.profile",
    ),
    **dict.fromkeys(("feast.get_online_features", "feast.lookup"), "feast.online_features"),
    **dict.fromkeys(("feast.get_historical_features", "feast.join"), "feast.historical_features"),
    **dict.fromkeys(("opik.evaluate_agent", "opik.experiment", "opik.test", "llm.evaluate"), "opik.evaluate"),
    **dict.fromkeys(("opik.feedback", "opik.log_feedback", "opik.log_score"), "opik.score"),
    **dict.fromkeys(("feast.write_to_online_store", "feast.ingest", "feast.stream", "feast.write"), "feast.push"),
    **dict.fromkeys(("feast.repo", "feast.existing", "feast.open", "feast.registry"), "feast.repository"),
    **dict.fromkeys(
        ("feast.get_feature_statistics", "feast.drift", "feast.describe", "feast.profile", "data.drift"),
        "feast.statistics",
    ),
    **dict.fromkeys(("feast.register", "feast.register_feature", "feast.feature_view"), "feast.apply"),
    **dict.fromkeys(("bentoml.build", "bentoml.containerize", "bentoml.save"), "bentoml.package"),
    "model.serve": "bentoml.serve",
    **dict.fromkeys(("model.deploy", "bentoml.create_deployment", "sagemaker.deploy"), "bentoml.deploy"),
    **dict.fromkeys(
        ("bentoml.traffic", "bentoml.canary", "bentoml.shadow", "bentoml.move", "bentoml.split", "bentoml.promote"),
        "bentoml.update_traffic",
    ),
    **dict.fromkeys(("bentoml.roll_back", "bentoml.revert", "bentoml.undo"), "bentoml.rollback"),
    **dict.fromkeys(("bentoml.terminate", "bentoml.delete", "bentoml.stop"), "bentoml.undeploy"),
    **dict.fromkeys(("bentoml.monitor", "bentoml.observe", "bentoml.drift", "bentoml.stats"), "bentoml.metrics"),
    **dict.fromkeys(
        ("python.run", "python.script", "python.exec", "python.function", "shell.run", "bash.run"), "python.call"
    ),
}
NO_ACTION = re.compile(r"(pandas|data|sql|spark|polars)\.|econml\.|causal\.|dowhy\.")
"""Actions that users expect but that do not exist."""
PARAMETERS = {
    "target": ("target_column", "label", "label_column", "y", "target_col", "outcome"),
    "features": ("feature_columns", "columns", "x", "predictors", "feature_cols", "inputs"),
    "algorithm": ("model_type", "model", "estimator", "classifier", "learner", "algo"),
    "params": ("hyperparameters", "hyperparams", "model_params", "parameters", "kwargs", "config"),
    "table": ("data", "dataset", "df", "dataframe", "input", "frame"),
    "path": ("file", "filename", "filepath", "file_path", "source", "uri"),
    "seed": ("random_state", "random_seed"),
    "trials": ("n_trials", "num_trials", "max_trials", "iterations"),
    "space": ("search_space", "param_space", "parameters", "params"),
    "metric": ("scoring", "objective", "score", "eval_metric"),
    "suite": ("expectation_suite", "expectations", "suite_name"),
    "stage": ("alias", "environment"),
    "name": ("model_name", "registered_model_name", "title"),
    "function": ("func", "callable", "entrypoint", "entry_point", "handler"),
    "arguments": ("args", "kwargs", "params", "op_kwargs", "inputs"),
    "fractions": ("sizes", "ratios", "proportions"),
    "delimiter": ("sep", "separator"),
    "nulls": ("na_values", "null_values"),
    "skip": ("skiprows", "skip_rows"),
    "how": ("join_type", "type"),
    "query": ("sql", "statement"),
    "traffic": ("traffic_percentage", "percent", "percentage", "weight", "share"),
    "replicas": ("scaling", "instances", "num_replicas", "min_replicas"),
    "endpoint": ("endpoint_name", "deployment", "deployment_name"),
    "sticky_by": ("sticky", "stickiness", "hash_key", "session_affinity"),
}
"""Names of parameters in other tools, by our name."""


def step_key(path: Path, value: Any, beside: Collection[str]) -> tuple[str, Fixes] | None:
    """Returns the hint for an unknown key of a step, and the fix if its value means the same under our key."""
    return _key(path, value, beside, STEP_KEYS)


def spec_key(path: Path, value: Any, beside: Collection[str]) -> tuple[str, Fixes] | None:
    """Returns the same for a top-level key of a spec."""
    return _key(path, value, beside, SPEC_KEYS)


def _key(path: Path, value: Any, beside: Collection[str], known: dict[str, str]) -> tuple[str, Fixes] | None:
    word = str(path[-1])
    ours = known.get(word)
    if word in CONVERTED and known is STEP_KEYS and not (ours and _has_shape(ours, value)):
        return _converted(path, value, beside)
    if ours is not None:
        same = ours not in beside and _has_shape(ours, value)
        return f'e2i calls it "{ours}"', fixes.moved(path, (*path[:-1], ours)) if same else ()
    if word in OTHERWISE:
        return OTHERWISE[word], ()
    return None


def _converted(path: Path, value: Any, beside: Collection[str]) -> tuple[str, Fixes]:
    """Returns the hint and the fix for a key whose value must be converted."""
    word = str(path[-1])
    ours, convert = CONVERTED[word]
    hint = OTHERWISE.get(word, f'e2i calls it "{ours}"')
    try:
        meant = convert(value)
    except (KeyError, TypeError, ValueError):
        return hint, ()
    to = (*path[:-1], ours)
    said = f"{hint}; write {ours}: {json.dumps(meant, ensure_ascii=False)}"
    return said, () if ours in beside else fixes.moved(path, to) + fixes.replaced(to, meant)


def _positive(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _only(value: Any, key: str) -> Any:
    """Returns the value of the only key of a mapping. Raises TypeError or ValueError for anything else."""
    if not isinstance(value, dict):
        raise TypeError
    (found,) = value.items()
    if found[0] != key or not _has_shape(key, found[1]):
        raise ValueError
    return found[1]


def _has_shape(key: str, value: Any) -> bool:
    """Returns True when the value is valid under our key without changes."""
    match key:
        case "when":
            return isinstance(value, (bool, str))
        case "needs" | "tags":
            return isinstance(value, list)
        case "uses" | "name":
            return isinstance(value, str)
        case "matrix":
            return isinstance(value, dict) and all(isinstance(item, list) for item in value.values())
    return isinstance(value, dict)


def action(name: str, known: Iterable[str]) -> str:
    """Returns a hint for an unknown action: the action with this function, the mistyped name, or that there is none."""
    if name in ACTIONS:
        return f"use {ACTIONS[name]}: `e2i catalog {ACTIONS[name]}`"
    if near := suggest.hint(name, known):
        return near
    if NO_ACTION.match(name):
        return "no such action exists; write a function and call it with python.call; `e2i catalog` lists the actions"
    return "`e2i catalog` lists the actions"


def parameter(word: str, fields: Collection[str], given: Collection[str]) -> str | None:
    """Returns the unset parameter of an action that other tools call by this word. None when several may be meant."""
    found = [ours for ours, words in PARAMETERS.items() if word in words and ours in fields and ours not in given]
    return found[0] if len(found) == 1 else None
