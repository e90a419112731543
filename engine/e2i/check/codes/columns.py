"""Codes of columns: the types fit, and the tables, models, suites and feature views do not."""

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

CODES = (
    Code(
        "unknown-column",
        "A column that the table does not have",
        "The columns of a table are known before a run: from the file's header, or from what the steps above do to it.",
        "Take a column that the hint lists, or keep it in the steps above.",
        TRAIN + "      target: taget\n      features: [brand, region]\n",
        TRAIN + "      target: target\n      features: [brand, region]\n",
    ),
    Code(
        "bad-column",
        "A column of a type that cannot be used so",
        "A point in time needs a timestamp, a number a numeric column.",
        "Take a column of the type that is asked for.",
        "steps:\n  data: {uses: dataset.hcp}\n"
        '  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: time, by: brand}}\n',
        "steps:\n  data: {uses: dataset.hcp}\n"
        '  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: time, by: '
        "observation_date}}\n",
    ),
    Code(
        "bad-feature",
        "A column that cannot be a feature",
        "Nothing is learnt from points in time, from keys, or from no column at all.",
        "Take it out of `features`, or add it to `exclude`; `e2i fix` does where it is certain.",
        TRAIN + "      target: target\n      features: [brand, observation_date]\n",
        TRAIN + "      target: target\n      features: [brand]\n",
    ),
    Code(
        "target-leak",
        "A feature that gives the target away",
        "The target itself, or a column that it was made from, is among the features. The model would look "
        "perfect, and know "
        "nothing when it is used.",
        "Take the column out of `features`, or add it to `exclude`; `e2i fix` does.",
        TRAIN + "      target: target\n      features: [brand, outcome]\n",
        TRAIN + "      target: target\n      features: [brand]\n",
    ),
    Code(
        "duplicate-column",
        "Two columns of one name",
        "A table would get the same column twice, and nobody could tell which one is meant.",
        "Rename one, keep only one of them, or ask for features with their view's name.",
        JOIN.replace("journeys", "history").replace("observation_date", "event_timestamp")
        + "      features: [history]\n",
        JOIN.replace("journeys", "history").replace("observation_date", "event_timestamp")
        + "      features: [history]\n      keep: [hcp_id, event_timestamp]\n",
    ),
    Code(
        "no-such-file",
        "A file that is not there",
        "A spec names files of the workspace, and their headers are read to check what follows.",
        "Take the file that was meant, or put it there.",
        "steps:\n  load: {uses: data.load, with: {path: data/hpc.csv}}\n",
        "steps:\n  load: {uses: dataset.hcp}\n",
    ),
    Code(
        "no-such-suite",
        "A suite that is not there",
        "`suite: NAME` means config/expectations/NAME.yaml.",
        "Take the suite that was meant, or write the expectations in the spec.",
        VALIDATE + "e2i_clasification_suite}}\n",
        VALIDATE + "e2i_classification_suite}}\n",
    ),
    Code(
        "bad-suite",
        "A suite that cannot be read",
        "The file of the suite is no list of expectations.",
        "Mend the file that the hint names.",
        example='config/expectations/visits.yaml begins with "- type expect_column_to_exist", without the colon.',
    ),
    Code(
        "unknown-view",
        "A feature view that does not exist",
        "The views of a repository are those that feast.apply is given above.",
        "Take a view that the hint lists.",
        JOIN + "      features: [histry]\n",
        JOIN + "      features: [history]\n",
    ),
    Code(
        "unknown-feature",
        "A feature that its view does not have",
        "`view:feature` names a feature of a view: a column of the view's table.",
        "Take a feature that the hint lists, or `view` alone for all of them.",
        JOIN + '      features: ["history:call"]\n',
        JOIN + "      features: [history]\n",
    ),
    Code(
        "unknown-entity",
        "An entity that is not declared",
        "A view is about an entity that `entities` declares beside it.",
        "Take the entity that was meant, or declare it.",
        APPLY.replace("entity: hcp", "entity: hpc"),
        APPLY,
    ),
    Code(
        "wrong-model",
        "A model that is not the one served",
        "The service's answers are to be compared with those of a model that learnt from other features.",
        "Compare with the model that was packaged.",
        SERVE + "      model: ${{ steps.other.model }}\n",
        SERVE + "      model: ${{ steps.train.model }}\n",
    ),
)
