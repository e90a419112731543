"""Maps words of other tools and languages for the values of a choice.

In: a word and the choices. Out: the one that it means.
"""

from __future__ import annotations

from collections.abc import Collection

WORDS: dict[str, tuple[str, ...]] = {
    "eq": ("=", "==", "===", "equals", "is"),
    "ne": ("!=", "<>", "!==", "not_equals"),
    "lt": ("<", "less_than"),
    "le": ("<=", "lte"),
    "gt": (">", "greater_than"),
    "ge": (">=", "gte"),
    "not_in": ("notin", "not in", "nin"),
    "is_null": ("isnull", "is null", "isna", "null"),
    "not_null": ("notnull", "is not null", "is_not_null", "notna"),
    "integer": ("int", "int32", "int64", "long", "bigint"),
    "number": ("float", "float32", "float64", "double", "decimal", "numeric"),
    "string": ("str", "text", "varchar"),
    "boolean": ("bool",),
    "list": ("array", "sequence", "tuple"),
    "mapping": ("dict", "object", "map", "dictionary"),
    "path": ("file", "filepath"),
    "roc_auc": ("auc", "auroc", "roc", "rocauc", "roc-auc", "roc_auc_score"),
    "average_precision": ("pr_auc", "auprc", "ap", "average_precision_score"),
    "log_loss": ("logloss", "binary_logloss", "cross_entropy", "neg_log_loss"),
    "brier": ("brier_score", "brier_score_loss"),
    "accuracy": ("accuracy_score", "acc"),
    "f1": ("f1_score", "f1-score"),
    "precision": ("precision_score",),
    "recall": ("recall_score", "sensitivity"),
    "rmse": ("root_mean_squared_error", "neg_root_mean_squared_error"),
    "mae": ("mean_absolute_error", "neg_mean_absolute_error"),
    "mape": ("mean_absolute_percentage_error",),
    "r2": ("r2_score", "r_squared", "rsquared"),
    "XGBoost": ("XGBClassifier", "XGBRegressor", "xgb"),
    "LightGBM": ("LGBMClassifier", "LGBMRegressor", "lgbm", "lgb", "light_gbm"),
    "CatBoost": ("CatBoostClassifier", "CatBoostRegressor", "cat_boost"),
    "RandomForest": ("RandomForestClassifier", "RandomForestRegressor", "random_forest", "rf"),
    "ExtraTrees": ("ExtraTreesClassifier", "ExtraTreesRegressor", "extra_trees", "extremely_randomized_trees"),
    "HistGradientBoosting": ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor", "hgb", "hist_gbm"),
    "LinearRegression": ("linear_regression", "ols"),
    "QuantileLinear": ("QuantileRegressor", "quantile_regression", "quantreg"),
    "ElasticNet": ("elastic_net", "elasticnet"),
    "KNeighbors": ("KNeighborsClassifier", "KNeighborsRegressor", "knn", "KNN", "k_nearest_neighbors"),
    "Dummy": ("DummyClassifier", "DummyRegressor", "baseline"),
    "LogisticRegression": ("logistic", "logreg", "logistic_regression", "logit"),
    "Ridge": ("ridge_regression",),
    "Lasso": ("lasso_regression",),
    "cuda": ("gpu",),
    "maximize": ("max", "maximise"),
    "minimize": ("min", "minimise"),
    "exponential": ("exp",),
    "constant": ("fixed",),
    "continue": ("ignore",),
    "production": ("prod", "live"),
    "development": ("dev",),
    "int": ("integer", "int64", "long"),
    "float": ("number", "double", "real"),
    "categorical": ("choice", "choices", "category", "categories"),
    "kfold": ("random", "shuffle", "k_fold", "k-fold", "shuffled"),
    "stratified": ("StratifiedKFold", "stratified_kfold", "stratify"),
    "group": ("GroupKFold", "group_kfold", "grouped", "entity"),
    "stratified_group": ("StratifiedGroupKFold", "group_stratified"),
    "time": ("TimeSeriesSplit", "time_series", "timeseries", "temporal", "chronological"),
    "group_time": ("time_group", "grouped_time"),
    "entity": ("group", "grouped", "GroupShuffleSplit"),
    "random": ("shuffle", "ShuffleSplit", "RandomSampler"),
    "tpe": ("TPESampler",),
    "cmaes": ("CmaEsSampler", "cma_es", "cma-es"),
    "grid": ("GridSampler", "grid_search"),
    "qmc": ("QMCSampler",),
    "gp": ("GPSampler", "gaussian_process"),
    "median": ("MedianPruner",),
    "hyperband": ("HyperbandPruner",),
    "successive_halving": ("SuccessiveHalvingPruner", "asha"),
    "none": ("NopPruner",),
    "inner": ("inner_join",),
    "left": ("left_join", "left_outer"),
}
"""By our word. Each of them means the same elsewhere."""


def choice(word: str, choices: Collection[str]) -> str | None:
    """Returns the choice that the word means. None when it means none or several of them."""
    folded = word.strip().casefold()
    found = [ours for ours in choices if folded == ours.casefold() or folded in map(str.casefold, WORDS.get(ours, ()))]
    return found[0] if len(found) == 1 else None
