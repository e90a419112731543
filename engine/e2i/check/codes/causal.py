"""Codes of steps that ask for the effect of a treatment: errors in data that only a run can find."""

from __future__ import annotations

from e2i.spec.problems import Code

CODES = (
    Code(
        "bad-cost",
        "A cost that is below 0",
        "What treating a row costs is 0 or more.",
        "Correct the column, or name another one in `cost`.",
        example="cost: visit_cost, with rows of -1 for unknown",
    ),
    Code(
        "bad-covariate",
        "A column that must not be adjusted for",
        "The treatment or the outcome is among the columns to adjust for, or a negative control is adjusted for.",
        "Remove it from `confounders`, `effect_modifiers` or `negative_controls`.",
        example="treatment: called, confounders: [called, region]",
    ),
    Code(
        "bad-group",
        "A column of entities that cannot be used",
        "An entity is missing in some rows, or there are fewer entities than parts for cross-fitting.",
        "Remove rows without an entity, or set `folds` lower.",
        example="group: region, with 4 regions and folds: 5",
    ),
    Code(
        "bad-treatment",
        "A treatment whose effect cannot be estimated",
        "A treatment has two values, each in enough rows and none missing. An amount needs `continuous: true`.",
        "Name the two values in `control` and `treated`, or set `continuous: true`.",
        example="treatment: channel, whose values are email, phone and visit",
    ),
    Code(
        "few-rows",
        "Too few rows for a design, or for slices",
        "A design compares few rows of many, such as those near a cutoff, or a group before and after. Slices of a "
        "table need at least `min_rows` rows each.",
        "Check the cutoff, the groups and the periods, or give more rows.",
        example="cutoff: 500, and all scores are below 100",
    ),
    Code(
        "invalid-effects",
        "Effects that other rows do not confirm",
        "`causal.validate` compared the effects of a model with rows that it has not seen, and a figure is below its "
        "threshold in `at_least`.",
        "Do not choose rows by these effects. Estimate them with more rows or fewer modifiers.",
        example="at_least: {autoc: 0}, and the interval of AUTOC is -0.1 to 0.3",
    ),
    Code(
        "no-overlap",
        "Rows that could have got one treatment only",
        "Some rows are treated, or untreated, almost surely. Nothing in the data says what the other treatment would "
        "have done to them, and the spec asks for overlap.",
        "Compare fewer rows, that could have got either treatment, or set `overlap: {outside: trim}`.",
        example="overlap: {outside: fail}, and all physicians with more than 40 patients were called",
    ),
    Code(
        "other-question",
        "Effect models that cannot be compared",
        "The candidates differ in treatment, outcome or compared values, or there are fewer than two.",
        "Give `causal.compare` two or more estimates of one question.",
        example="candidates: {calls: effect of calls, emails: effect of emails}",
    ),
    Code(
        "other-rows",
        "A table that the estimate was not made from",
        "`causal.refute` asks the question of an effect model again, and its own rows give another answer.",
        "Pass the table of the `causal.estimate` step that made the model.",
        example="estimate from the whole table, refute with one part of it",
    ),
    Code(
        "refuted",
        "An estimate that does not stand",
        "An attempt to refute the effect succeeded. The message says which one and how far it went.",
        "Look for a confounder that is missing, or a column that the treatment changes. `on_refuted: warn` continues.",
        example="negative_controls: [sales_before], and the calls seem to change the sales before them",
    ),
    Code(
        "same-effect",
        "A model with one effect for all rows",
        "There are no differences of effects that could be judged or chosen by.",
        "Estimate with `effect_modifiers`.",
        example="causal.validate of an estimate without effect_modifiers",
    ),
    Code(
        "weak-instrument",
        "Instruments that do not change the treatment",
        "The treatment is the same whatever the instruments are, so they cannot show what it changes.",
        "Use other instruments.",
        example="instruments: [lottery], and served is equal among winners and others",
    ),
    Code(
        "no-variation",
        "A treatment that the covariates determine",
        "What the covariates leave of the treatment does not vary, so it cannot explain the outcome.",
        "Remove the covariate that decides the treatment by itself: it is no confounder.",
        example="treatment: called, confounders: [number_of_calls]",
    ),
)
