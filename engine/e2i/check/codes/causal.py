"""Codes of steps that ask for the effect of a treatment: errors in data that only a run can find."""

from __future__ import annotations

from e2i.spec.problems import Code

CODES = (
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
        "no-overlap",
        "Rows that could have got one treatment only",
        "Some rows are treated, or untreated, almost surely. Nothing in the data says what the other treatment would "
        "have done to them, and the spec asks for overlap.",
        "Compare fewer rows, that could have got either treatment, or set `overlap: {outside: trim}`.",
        example="overlap: {outside: fail}, and all physicians with more than 40 patients were called",
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
        "no-variation",
        "A treatment that the covariates determine",
        "What the covariates leave of the treatment does not vary, so it cannot explain the outcome.",
        "Remove the covariate that decides the treatment by itself: it is no confounder.",
        example="treatment: called, confounders: [number_of_calls]",
    ),
)
