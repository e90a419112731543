"""Codes of steps on tables, models and Python files: errors in data that only a run can find."""

from __future__ import annotations

from e2i.spec.problems import Code

CODES = (
    Code(
        "asked-to-fail",
        "A step that fails on purpose",
        "`debug.fail` always fails, to test a pipeline's `retry`, `on_error` and `finally`.",
        "Remove the step.",
        example="uses: debug.fail",
    ),
    Code(
        "bad-expectation",
        "An expectation that cannot be evaluated",
        "Great Expectations knows the type of expectation but refuses its arguments or their values.",
        "Pass the arguments named in the hint. The message names the expectation.",
        example="{type: expect_column_values_to_be_between, column: hour, min_value: 24, max_value: 0}",
    ),
    Code(
        "bad-features",
        "Features that a model cannot use",
        "The type of a column does not allow training, no column is left, or the columns differ from those that the "
        "model was trained on.",
        "Choose `features` or `exclude` as the hint describes. Pass a model the columns that it was trained on.",
        example="A model trained on brand and region gets a table without region.",
    ),
    Code(
        "bad-filter",
        "A condition that cannot be evaluated",
        "A value is compared with a column of another type, or a search uses a condition that the tracker does not "
        "support.",
        "Compare numbers with numbers, text with text, times with times.",
        example='where: [{column: distance, op: gt, value: "far"}], where distance holds numbers',
    ),
    Code(
        "bad-model",
        "A model that cannot be loaded",
        "The files of the model were not written by e2i, or by a version that is no longer supported.",
        "Train it again.",
        example="A model folder whose manifest.json was edited or truncated.",
    ),
    Code(
        "bad-result",
        "A result that cannot be kept",
        "A Python function returned an object. Results are stored and passed to other processes, so they are tables or "
        "plain data.",
        "Return a DataFrame, or lists, mappings, strings and numbers.",
        example="return open('x.csv')",
    ),
    Code(
        "bad-target",
        "A target that a model cannot be trained on",
        "The target column has only one class, too many classes, missing values, or values that suit no task.",
        "The hint names what to change: the split, the task, or the rows.",
        example="A target that is the same in every row of the training table.",
    ),
    Code(
        "empty-part",
        "A split that leaves one table without rows",
        "The table has too few rows, groups or points in time for the requested fractions.",
        "Use a larger fraction for that table, more rows, or another seed.",
        example="data.split of 5 rows with test: 0.1",
    ),
    Code(
        "empty-table",
        "A table without rows or columns",
        "A file has a header only, or a filter matched nothing.",
        "Check the file, or loosen `where`, `columns` or `exclude`.",
        example="where: [{column: hour, op: gt, value: 24}]",
    ),
    Code(
        "fit-failed",
        "A training that failed in the library",
        "The machine-learning library refused the data or the hyperparameters. The message has its own error.",
        "Fix the error in the message. In a search, only that trial fails and the others continue.",
        example="A hyperparameter that passes the checks but that this version of the library does not support.",
    ),
    Code(
        "leakage",
        "Training data that contains the target",
        "The target is among the features, or two tables of a split share entities or overlap in time. Scores would be "
        "too high.",
        "Remove the target from `features`. Split by the entity, or by time.",
        example="A customer whose visits are in both the training and the test table of a split by customer.",
    ),
    Code(
        "missing-values",
        "Rows that cannot be assigned in a split",
        "The split uses a column, and some rows have no value in it.",
        "Drop these rows with data.select first, as the hint shows.",
        example="data.split with by: customer, where some rows have no customer",
    ),
    Code(
        "no-background",
        "An explanation without background data",
        "Linear models, and models that are only asked for predictions, are explained relative to other rows. With one "
        "row, every SHAP value would be 0.",
        "Set `background`, for example to the training table.",
        example="shap.explain of a LinearRegression on a table of one row",
    ),
    Code(
        "no-such-instance",
        "A row to explain that does not exist",
        "`instances` names rows by the values of a column, and no row has one of these.",
        "Compare the keys with the column: texts and numbers are different, and so are 12 and 00012.",
        example='instances: {by: hcp_id, keys: ["no_such_id"]}',
    ),
    Code(
        "too-many-instances",
        "More rows to explain than `rows`",
        "Several rows may have one key. All rows with the keys are explained, at most as many as `rows`.",
        "Raise `rows`, or name fewer keys.",
        example="instances: {by: region, keys: [north]}, where 20,000 rows are in the north",
    ),
    Code(
        "no-rounds",
        "An algorithm that does not train in rounds",
        "Early stopping and pruning evaluate a model during training.",
        "Use an algorithm listed in the hint, or leave out early stopping and `pruner`.",
        example="early_stopping: {rounds: 20} with algorithm: LogisticRegression",
    ),
    Code(
        "no-rows",
        "A table without rows",
        "A model cannot be trained, evaluated or explained without rows.",
        "Check the steps that produced the table.",
        example="model.train on the result of a filter that matches nothing",
    ),
    Code(
        "bad-key",
        "A key that does not identify rows",
        "`data.diff` compares rows with the same key. A value that is null or occurs twice in one table, or of types "
        "that have no equal values, has no counterpart in the other.",
        "Add columns to the key, remove duplicate rows, or give the key one type in both tables.",
        example="{key: hcp_id}, where a table has two rows of one HCP",
    ),
    Code(
        "no-such-function",
        "A function that the file does not have",
        "`python.call` runs a function defined at the top level of the file.",
        "Use the name of a function in that file.",
        example="{file: steps.py, function: clean}, where steps.py defines cleaned",
    ),
    Code(
        "no-validation",
        "Early stopping without a validation table",
        "Training stops when the score on a table that is not trained on no longer improves.",
        "Set `validation`.",
        example="model.train with early_stopping: {rounds: 20} and no validation",
    ),
    Code(
        "not-a-time",
        "A column without an order in time",
        "A split by time needs timestamps, dates or numbers.",
        "List the column in `parse_dates` of data.load.",
        example="data.split with strategy: time and by: day, where day is text",
    ),
    Code(
        "not-additive",
        "SHAP values that do not add up",
        "The SHAP values of a row must add up to the model's margin. A difference means that the library misread the "
        "model.",
        "Do not use the values. Train with another version of the library.",
        example="A version of shap that does not support how this version of XGBoost stores its base score.",
    ),
    Code(
        "not-converged",
        "A linear model that did not converge",
        "The solver reached `max_iter` while its coefficients still changed.",
        "Raise `max_iter`, or regularise more strongly.",
        example="params: {max_iter: 5}",
    ),
    Code(
        "quality-failed",
        "Data that does not meet its expectations",
        "The step is a gate: at least one expectation of its suite failed, so its downstream steps do not run.",
        "Open the data docs of the step. Fix the data, or the suite where it is too strict.",
        example="expect_column_values_to_not_be_null, with 3 of 2,000 values missing",
    ),
    Code(
        "unknown-class",
        "A class that the model was not trained on",
        "A table for evaluation has values of the target that the training table does not have.",
        "Stratify the split, or remove those rows.",
        example="A test table with outcome: deferred, of which the training table has none.",
    ),
    Code(
        "unknown-format",
        "A file of unknown format",
        "The suffix determines how a file is read, and this suffix is unknown.",
        "Set `format`.",
        example="data.load with path: data/visits.txt",
    ),
    Code(
        "unknown-metric",
        "A metric that some candidates lack",
        "model.select compares by a metric that was not computed for some candidate, or whose direction is unknown.",
        "Set `table` to evaluate the candidates on, a metric listed in the hint, or `direction`.",
        example="metric: f1 among models of which one was evaluated by roc_auc only",
    ),
    Code(
        "unknown-suite",
        "A suite that does not exist",
        "`suite: NAME` refers to config/expectations/NAME.yaml, and the file is missing.",
        "Restore the file, or use a suite listed in the hint.",
        example="The suite was removed after the plan was made.",
    ),
    Code(
        "unreadable-file",
        "A file that does not match its format",
        "The file could not be parsed in its format. The message has the parser's own error.",
        "Fix the file, or set its actual `format`.",
        example="A CSV file with more values in line 7 than in the header.",
    ),
    Code(
        "user-code-failed",
        "A Python function that raised an error",
        "The error is the function's own; its traceback, from the first line of the user's file, is in the step's log.",
        "Fix the function.",
        example="KeyError: 'visits' in steps.py, line 4",
    ),
    Code(
        "wrong-metric",
        "A metric that does not suit the task",
        "A classification metric is used for a regression, or early stopping uses a metric that cannot be computed in "
        "each round.",
        "Use a metric listed in the hint.",
        example="metric: roc_auc with a target of numbers",
    ),
    Code(
        "different-rows",
        "Predictions out of fold of other rows",
        "`model.ensemble` compares the predictions of models row by row: all must be of the same rows and splits.",
        "Pass `model.cross_validate` steps with the same table, folds and target.",
        example="the predictions of two steps with folds of different seeds",
    ),
    Code(
        "different-classes",
        "Predictions out of fold of another class",
        "The probabilities of a model are of its positive class; those of another model are of the other one.",
        "Set the same `positive` in all steps.",
        example="`positive: true` in one step, and `positive: false` in another",
    ),
    Code(
        "wrong-order",
        "A lower model that predicts more than the upper one",
        "Intervals of `method: cqr` lie from the prediction of `lower` to that of `upper`, and in most rows the first "
        "is larger.",
        "Exchange the two models, or train them on quantiles such as 0.05 and 0.95.",
        example="lower: a model of quantiles: [0.95], upper: one of [0.05]",
    ),
    Code(
        "wrong-task",
        "An algorithm that does not suit the task",
        "The algorithm only classifies and the target is a number, or the reverse, or the candidates have different "
        "tasks.",
        "Use an algorithm listed in the hint.",
        example="algorithm: LogisticRegression with task: regression",
    ),
    Code(
        "query-failed",
        "A query that fails on its rows",
        "The query is valid, and a value cannot be computed: a text that is no number, or a sum beyond 64 bits.",
        "Use TRY_CAST, which returns null where a value cannot be converted, or filter the rows.",
        example="SELECT CAST(comment AS INTEGER) FROM visits",
    ),
    Code(
        "repeated-key",
        "A key that the right table of a join has several times",
        "`table.join` with `expect: one` and `table.asof` add columns to rows, never rows. A key that is there twice "
        "would multiply rows without notice.",
        "Make the keys unique with table.dedupe or table.aggregate, or set `expect: many`.",
        example="A join of flights with a register that has two rows of the plane N10156.",
    ),
    Code(
        "dialect",
        "A file that is read in another way than usual",
        "A CSV file does not say how it is written. What was found out from its first bytes is reported, so that a "
        "wrong guess is seen: the separator, the quotes, marks of decimals and thousands, a row without a name.",
        "Nothing, if it is right. Otherwise state `delimiter`, `quote`, `decimal` or `header`.",
        example="data/customers.csv has semicolons between fields and commas in decimals.",
    ),
    Code(
        "file-exists",
        "A file that would be overwritten",
        "data.write keeps a file whose content it did not write. A file with the same content is left as it is.",
        "Set `mode: replace`, or write to another path.",
        example="out/scores.csv exists from another run, with other scores.",
    ),
    Code(
        "header-too-long",
        "A first row without an end",
        "The names of a text file's columns are read from its first megabyte.",
        "State `delimiter` and `quote`, or correct the file.",
        example="A file of two gigabytes in one line.",
    ),
    Code(
        "ragged-row",
        "A row with more or fewer fields than the header",
        "Reading on would shift values into other columns, or cut them off.",
        "Correct the line, state how the file is written, or set `bad_rows: report` to leave such rows out.",
        example='7,47,354,1 below the header "id,income,y": the income has an unquoted comma.',
    ),
    Code(
        "unclear-dialect",
        "A file with two plausible readings",
        "Both readings give a table, and only one of them is meant: a first row that may be names or data, commas that "
        "may be decimal marks or separate thousands, two possible separators.",
        "State what the hint names.",
        example='"1,234" in a column is 1234 in one country and 1.234 in another.',
    ),
    Code(
        "unknown-sheet",
        "A sheet that the workbook does not have",
        "`sheet` names a sheet of an Excel file.",
        "Use a name from the hint.",
        example="sheet: Sheet1, where the workbook has Data and Notes",
    ),
    Code(
        "unnamed-column",
        "A column without a name",
        "A column is referred to by its name. Only the first field of a row, which is then the row's name, and an "
        "empty field at the end of all rows may have none.",
        "Name the column in the file.",
        example='The header "id,,x".',
    ),
    Code(
        "bad-validation",
        "A validation table that cannot judge a round",
        "Early stopping compares the rounds of a training by a metric on the validation table. With rows of one class "
        "only, each round is as good as another.",
        "Check the split; split by time or entity so that every part has rows of every class.",
        example="A validation table with 40 rows, all with the target 0.",
    ),
    Code(
        "bad-card",
        "A report that is no model card",
        "`card` of mlflow.register takes the output of model.card, which has the card as Markdown.",
        "Pass the output `card` of a step of model.card.",
        example="card: ${{ steps.evaluate.report }}",
    ),
    Code(
        "limit-missed",
        "A metric that does not reach its limit",
        "`at_least` and `at_most` of model.evaluate and model.fairness are requirements. With `confidence`, the bound "
        "of the interval must reach them, so that a lucky test table is not enough.",
        "Improve the model, evaluate on more rows, or change the limit.",
        example="at_least: {roc_auc: 0.7, confidence: 0.95}, where the interval of roc_auc is 0.68 to 0.75",
    ),
    Code(
        "one-group",
        "A group column with one value",
        "Rows of one group are drawn together for intervals, because they are alike. With one group, every draw is the "
        "whole table.",
        "Name a column with many values, such as the entity or the day, or leave `group` out.",
        example="group: country, in a table of one country",
    ),
    Code(
        "unseen-values",
        "A category feature with no value that training has seen",
        "Values that training did not see count as missing. When all of them are, the table was read or coded in "
        "another way than the training table, and every prediction would be wrong.",
        "Compare both tables: 1 and 01, upper and lower case, other names.",
        example='The feature "code" has the texts "01" and "02", where training had "1" and "2".',
    ),
    Code(
        "too-many-files",
        "A path that names too many files",
        "A folder or a pattern may name 10,000 files. Each is read, hashed and compared with the plan.",
        "Name a folder or a pattern with fewer files, or join them.",
        example="path: . in a workspace with many small files",
    ),
)
