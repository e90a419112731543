"""Good specs and a seed go in; the corpus of broken ones comes out: some of every kind of mistake, the same ones each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from mutation.good import Good
from mutation.kinds import judging, modelling, names, queries, shape, tables, text, values, wiring
from mutation.mutant import Mutant, Mutants

SEED = 20261122
EACH = 24
"""Mutants of one kind, at most."""

KINDS: dict[str, Callable[[Good, Random], Mutants]] = {
    "typo in an action": names.action,
    "typo in a part": names.part,
    "typo in a step": names.step,
    "typo in a needed step": names.needed_step,
    "typo in an output": names.output,
    "typo in a parameter": names.pipeline_parameter,
    "typo in a matrix name": names.matrix_name,
    "typo in a root": names.root,
    "typo in a filter": names.applied_filter,
    "typo in an action's parameter": names.action_parameter,
    "typo in a key": names.key,
    "typo in a role": names.role,
    "typo in a type": names.parameter_type,
    "typo in an option's word": names.option,
    "typo in a choice": values.choice,
    "typo in a column": tables.column,
    "typo in a query's column": queries.column,
    "typo in an expression's column": queries.expression,
    "typo in a query's table": queries.table,
    "function that a query must not call": queries.refused_function,
    "file that a query must not read": queries.refused_file,
    "key of another type": queries.key_type,
    "key that no table has": queries.missing_key,
    "target in its own window": queries.leak_by_aggregate,
    "prediction before its features": queries.known_later,
    "typo in a view": tables.view,
    "typo in a feature": tables.feature,
    "typo in a suite": tables.suite,
    "typo in a file": tables.missing_file,
    "unknown key": shape.unknown_key,
    "unknown action parameter": shape.foreign_parameter,
    "missing action parameter": shape.missing_parameter,
    "missing key": shape.missing_key,
    "missing version": shape.missing_version,
    "wrong version": shape.wrong_version,
    "version as text": shape.version_as_text,
    "duplicated key": shape.duplicated_key,
    "repeated entry": shape.repeated_entry,
    "duplicated step": shape.duplicated_step,
    "bad duration": shape.bad_duration,
    "duration in words": shape.duration_in_words,
    "bad name": shape.bad_name,
    "nothing in a step": shape.nothing,
    "number for a mapping": shape.number_for_mapping,
    "tab": text.tab,
    "tabs throughout": text.tabs,
    "unclosed expression": text.unclosed_expression,
    "unquoted expression": text.unquoted_expression,
    "bare braces": text.bare_braces,
    "missing colon": text.missing_colon,
    "missing space": text.missing_space,
    "unclosed quote": text.unclosed_quote,
    "unclosed bracket": text.unclosed_bracket,
    "indented too far": text.indented_too_far,
    "indented too little": text.indented_too_little,
    "tag": text.tag,
    "merge key": text.merge_key,
    "unknown alias": text.unknown_alias,
    "second document": text.second_document,
    "missing dash": text.missing_dash,
    "no such choice": values.other_choice,
    "number in quotes": values.quoted_number,
    "text for a number": values.text_for_number,
    "word for a boolean": values.word_for_boolean,
    "one value for a list": values.one_for_list,
    "number out of range": values.out_of_range,
    "option out of range": values.option_out_of_range,
    "bad default": values.default,
    "contradicting parameter": values.contradicting_parameter,
    "bad fractions": values.fractions,
    "bad condition": values.when,
    "reference of a wrong type": values.reference,
    "formula that cannot work": values.formula,
    "no expression": values.call,
    "cycle": wiring.cycle,
    "step that reads itself": wiring.itself,
    "unknown step in needs": wiring.unknown_need,
    "matrix step as one": wiring.matrix_as_one,
    "one step as a list": wiring.one_as_list,
    "step that may be skipped": wiring.maybe_skipped,
    "step that waits for the end": wiring.waits_for_the_end,
    "unguarded step at the end": wiring.unguarded_end,
    "broken matrix": wiring.broken_matrix,
    "unknown variable or secret": wiring.unknown_environment,
    "written secret": wiring.written_secret,
    "no tool or action": wiring.no_tool,
    "renamed step": wiring.lost_step,
    "no such column": tables.other_column,
    "removed column": tables.removed_column,
    "target among features": tables.leaked_target,
    "source of the target": tables.leaked_outcome,
    "time among features": tables.time_as_feature,
    "forbidden file": tables.forbidden_file,
    "another table": tables.wrong_table,
    "slice for each value of the target": judging.slice_by_target,
    "slice that is listed twice": judging.slice_twice,
    "metric of the other task": judging.metric_of_the_other_task,
    "limit of the other task": judging.limit_of_the_other_task,
    "shares that do not rise": judging.falling_shares,
    "held-out rows that are trained on": judging.held_out_training,
    "operation on texts": modelling.recipe_of_texts,
    "operation on no column": modelling.recipe_of_no_column,
    "operation on the target": modelling.recipe_of_the_target,
    "folds of other rows": modelling.folds_of_other_rows,
    "group of folds among features": modelling.group_among_features,
    "folds by no time": modelling.times_of_folds,
    "stopped early without rounds": modelling.stopped_without_rounds,
    "stopped by another metric": modelling.stopped_by_another_metric,
    "weights that are no numbers": modelling.weights_of_texts,
    "monotone in texts": modelling.monotone_in_texts,
    "objective of classes": modelling.loss_of_numbers,
    "quantiles of another objective": modelling.quantiles_of_another_objective,
    "space of another algorithm": modelling.space_of_another_algorithm,
    "calibrated twice": modelling.calibrated_again,
    "finished by training rows": modelling.finished_by_training_rows,
    "judged by fitted rows": modelling.judged_by_fitted_rows,
    "ranking without queries": modelling.ranking_without_queries,
    "query among features": modelling.query_among_features,
    "intervals of a model without": modelling.intervals_of_none,
    "cost in no column": modelling.cost_of_no_column,
    "limit of nothing": modelling.limit_that_is_none,
    "intervals by no feature": modelling.intervals_by_no_feature,
    "threshold of numbers": modelling.threshold_of_numbers,
}


def corpus(specs: Sequence[Good], *, each: int = EACH, seed: int = SEED) -> list[Mutant]:
    """Up to ``each`` mutants of every kind, drawn from all that the specs have room for."""
    found: list[Mutant] = []
    for kind, make in KINDS.items():
        rng = Random(f"{seed} {kind}")
        every = [mutant for good in specs for mutant in make(good, rng) if mutant.text != good.text]
        different = list({(mutant.good.file, mutant.text): mutant for mutant in every}.values())
        chosen = sorted(rng.sample(range(len(different)), min(each, len(different))))
        found += [replace(different[index], kind=kind) for index in chosen]
    return found
