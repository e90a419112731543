"""Maps actions and parameters of other tools to ours: pandas, scikit-learn, MLflow, Feast, dbt.

In: a name that the catalog does not have. Out: a hint, or our name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from e2i.spec import suggest

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
    **dict.fromkeys(
        ("model.diff", "model.test", "model.versus", "mlxtend.paired_ttest", "pycaret.compare_models"), "model.compare"
    ),
    **dict.fromkeys(
        (
            *("model.stack", "model.stacking", "model.blend", "model.vote", "model.average", "model.combine"),
            *("sklearn.stackingclassifier", "sklearn.votingclassifier", "pycaret.stack_models", "pycaret.blend_models"),
        ),
        "model.ensemble",
    ),
    **dict.fromkeys(
        ("model.error_analysis", "model.slices", "model.worst_slices", "deepchecks.weak_segments"), "model.errors"
    ),
    **dict.fromkeys(("fairlearn.metrics", "fairlearn.metric_frame", "model.bias", "aif360.metrics"), "model.fairness"),
    **dict.fromkeys(("sklearn.learning_curve", "model.curve"), "model.learning_curve"),
    **dict.fromkeys(("sklearn.validation_curve", "model.parameter_curve"), "model.validation_curve"),
    **dict.fromkeys(("model.model_card", "model.describe", "model.document", "mlflow.model_card"), "model.card"),
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
    **dict.fromkeys(("model.best", "model.choose"), "model.select"),
    **dict.fromkeys(("model.explain", "shap.values", "shap.summary", "shap.explainer"), "shap.explain"),
    **dict.fromkeys(
        ("econml.fit", "causal.fit", "causal.ate", "dowhy.estimate", "dowhy.estimate_effect"), "causal.estimate"
    ),
    **dict.fromkeys(("causal.test", "econml.dr_tester", "causal.uplift", "causal.qini"), "causal.validate"),
    **dict.fromkeys(("econml.policy_tree", "causal.treat", "causal.target", "causal.optimize"), "causal.policy"),
    **dict.fromkeys(("causal.ab_test", "experiment.analyze", "stats.ttest", "scipy.ttest_ind"), "causal.experiment"),
    **dict.fromkeys(("linearmodels.iv2sls", "causal.2sls", "statsmodels.iv2sls"), "causal.iv"),
    **dict.fromkeys(("causal.frontdoor", "causal.mediation", "dowhy.frontdoor"), "causal.front_door"),
    **dict.fromkeys(("causal.diff_in_diff", "causal.difference_in_differences", "causal.event_study"), "causal.did"),
    **dict.fromkeys(("causal.regression_discontinuity", "causal.discontinuity"), "causal.rdd"),
    **dict.fromkeys(
        ("data.preprocess", "data.encode", "data.impute", "data.scale", "sklearn.pipeline", "sklearn.preprocess"),
        "prepare.recipe",
    ),
    **dict.fromkeys(("data.kfold", "sklearn.kfold", "sklearn.model_selection.kfold"), "data.folds"),
    **dict.fromkeys(
        ("model.recalibrate", "sklearn.calibrate", "sklearn.calibratedclassifiercv", "model.calibration"),
        "model.calibrate",
    ),
    **dict.fromkeys(
        ("model.cutoff", "model.tune_threshold", "sklearn.tunedthresholdclassifiercv", "model.choose_threshold"),
        "model.threshold",
    ),
    **dict.fromkeys(
        ("model.intervals", "model.prediction_intervals", "mapie.fit", "mapie.conformalize"), "model.conformal"
    ),
    **dict.fromkeys(
        ("model.cv", "model.crossval", "sklearn.cross_validate", "sklearn.cross_val_score"), "model.cross_validate"
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
    "costs": ("cost", "cost_matrix", "payoffs", "cost_function"),
    "level": ("confidence", "confidence_level", "coverage"),
    "threshold": ("cutoff", "decision_threshold"),
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
    "train": ("train_table", "train_data", "training", "training_data", "x_train"),
    "validation": ("val", "valid", "eval_set", "validation_table", "validation_data", "validation_set"),
    "folds": ("k", "cv", "splits", "n_splits", "n_folds", "num_folds"),
    "repeats": ("n_repeats",),
    "by": ("group_by", "groupby", "group_column", "entity", "entity_column"),
    "on": ("key", "keys", "join_key", "join_keys"),
    "order": ("order_by", "sort_by"),
    "where": ("filter", "filters", "condition", "conditions", "predicate"),
    "exclude": ("drop", "ignore", "drop_columns", "exclude_columns"),
    "positive": ("pos_label", "positive_class", "positive_label"),
    "weights": ("weight", "sample_weight", "sample_weights", "weight_column"),
    "time": ("time_column", "date_column", "timestamp_column"),
    "rows": ("limit", "nrows", "n_rows"),
    "types": ("dtype", "dtypes", "schema"),
    "treatment": ("treatment_column", "exposure"),
    "outcome": ("outcome_column", "y"),
    "confounders": ("common_causes", "adjustment_set", "covariates"),
    "effect_modifiers": ("modifiers", "heterogeneity", "x"),
    "instrument": ("iv", "z"),
    "traffic": ("traffic_percentage", "percent", "percentage", "weight", "share"),
    "replicas": ("scaling", "instances", "num_replicas", "min_replicas"),
    "endpoint": ("endpoint_name", "deployment", "deployment_name"),
    "sticky_by": ("sticky", "stickiness", "hash_key", "session_affinity"),
}
"""Names of parameters in other tools, by our name."""


TOOLS = {
    **dict.fromkeys(("sklearn", "xgboost", "lightgbm", "catboost", "torch", "keras", "ml", "metrics"), "model"),
    **dict.fromkeys(("pandas", "polars", "spark", "dataset", "df", "file", "io", "csv", "feature"), "data"),
    **dict.fromkeys(("gx", "ge", "expectations", "quality"), "great_expectations"),
    **dict.fromkeys(("hyperopt", "ray", "hpo", "tune"), "optuna"),
    **dict.fromkeys(("econml", "dowhy", "causalml"), "causal"),
    **dict.fromkeys(("duckdb", "sqlite", "query"), "sql"),
    **dict.fromkeys(("registry", "tracking"), "mlflow"),
    **dict.fromkeys(("preprocess", "preprocessing", "prep"), "prepare"),
    **dict.fromkeys(("bento", "serving"), "bentoml"),
}
"""Tools and libraries, by the tool of ours that does their work."""
BESIDE = {"data": ("table",), "table": ("data",), "model": ("data", "prepare", "optuna"), "sql": ("database",)}
"""Tools in which an action may be that is expected in another one."""


def action(name: str, known: Iterable[str]) -> str:
    """Returns a hint for an unknown action: the action with this function, the mistyped name, or that there is none."""
    names = {*known}
    if meant := ACTIONS.get(name) or (None if suggest.certain(name, names) else _same(name, names)):
        return f"use {meant}: `e2i catalog {meant}`"
    if near := suggest.hint(name, known):
        return near
    if NO_ACTION.match(name):
        return "no such action exists; write a function and call it with python.call; `e2i catalog` lists the actions"
    return "`e2i catalog` lists the actions"


def _same(name: str, known: Collection[str]) -> str | None:
    """Returns the action that a name means without its last or first words: ``shap.explain_model``,
    ``feast.get_features``, in the tool of this name or that does its work.
    """
    tool, _, verb = name.casefold().partition(".")
    words = verb.split("_")
    shorter = ["_".join(words[:end]) for end in range(len(words), 0, -1)]
    shorter += ["_".join(words[start:]) for start in range(1, len(words))]
    tools = [tool, *([TOOLS[tool]] if tool in TOOLS else [])]
    tools += [other for one in tools for other in BESIDE.get(one, ()) if other not in tools]
    for each in shorter:
        for one in tools:
            if f"{one}.{each}" in known or f"{one}.{each}" in ACTIONS:
                return ACTIONS.get(f"{one}.{each}", f"{one}.{each}")
    return None


def parameter(word: str, fields: Collection[str], given: Collection[str]) -> str | None:
    """Returns the unset parameter of an action that other tools call by this word. None when several may be meant."""
    found = [ours for ours, words in PARAMETERS.items() if word in words and ours in fields and ours not in given]
    return found[0] if len(found) == 1 else None
