"""Specs as language models get them wrong: one defect of nine kinds each. In: good specs. Out: ``Defect``s."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from mutation.good import Good, Reference
from mutation.sites import Path, Site


@dataclass(frozen=True)
class Defect:
    """A spec with one defect."""

    kind: str
    good: Good
    text: str
    what: str
    """What was written, for people."""


Texts = Iterator[tuple[str, str]]
INVENTED = {
    "model.train": ("model.fit", "sklearn.train", "xgboost.train", "ml.train", "model.train_model", "train.model"),
    "model.evaluate": ("model.score", "sklearn.evaluate", "model.eval", "model.evaluate_model", "metrics.evaluate"),
    "model.predict": ("model.score_batch", "sklearn.predict", "model.inference", "model.predict_batch"),
    "model.cross_validate": ("model.cv", "sklearn.cross_val_score", "model.cross_validation"),
    "model.compare": ("model.compare_models", "model.select_best"),
    "data.split": ("data.train_test_split", "sklearn.train_test_split", "dataset.split", "data.split_data"),
    "data.load": ("data.read_csv", "pandas.read_csv", "data.load_csv", "io.read", "file.load"),
    "data.select": ("data.filter", "pandas.query", "data.filter_rows", "table.filter"),
    "data.folds": ("data.kfold", "sklearn.kfold", "data.cross_validation"),
    "sql.query": ("sql.run", "duckdb.query", "data.sql", "sql.execute"),
    "table.join": ("data.join", "pandas.merge", "data.merge", "table.merge"),
    "table.derive": ("data.derive", "table.compute", "feature.derive", "table.add_columns"),
    "table.aggregate": ("data.aggregate", "pandas.groupby", "table.group_by"),
    "mlflow.register": ("mlflow.register_model", "mlflow.log_model", "registry.register"),
    "mlflow.promote": ("mlflow.promote_model", "mlflow.transition_stage", "mlflow.set_stage"),
    "optuna.tune": ("optuna.optimize", "optuna.study", "model.tune", "hyperopt.tune"),
    "shap.explain": ("shap.explain_model", "shap.values", "model.explain", "shap.shap_values"),
    "great_expectations.validate": ("ge.validate", "data.validate", "great_expectations.checkpoint", "gx.validate"),
    "feast.historical_features": ("feast.get_historical_features", "feast.features", "feast.join"),
    "feast.apply": ("feast.register", "feast.deploy"),
    "bentoml.build": ("bentoml.package", "bentoml.save", "bentoml.create"),
    "bentoml.serve": ("bentoml.deploy", "bentoml.start", "model.serve"),
    "causal.estimate": ("causal.effect", "econml.estimate", "dowhy.estimate", "causal.estimate_effect"),
    "causal.refute": ("dowhy.refute", "causal.refute_estimate", "causal.sensitivity"),
    "prepare.recipe": ("prepare.pipeline", "sklearn.pipeline", "preprocess.recipe"),
}


def invented_action(good: Good, rng: Random) -> Texts:
    """An action that does not exist, named as other libraries or other versions of the interface would."""
    for name, path in good.steps.items():
        for uses in INVENTED.get(good.uses(name), ()):
            yield _put(good, good.sites[(*path, "uses")], uses), uses


def wrong_reference(good: Good, rng: Random) -> Texts:
    """A reference to a step, an output or a parameter by another name."""
    for ref in good.references:
        name, at = ref.parts[0]
        if ref.root[0] == "params":
            for other in (name.upper(), f"{name}s", name.replace("_", "") if "_" in name else f"{name}_value"):
                yield _at(good, at, name, other), f"params.{other}"
            root, start = ref.root
            for other in ("inputs", "parameters", "param"):
                yield _at(good, start, root, other), f"{other}.{name}"
        if ref.root[0] == "steps":
            for other in (f"{name}_step", f"step_{name}", name.capitalize(), f"{name}s"):
                yield _at(good, at, name, other), f"steps.{other}"
            if len(ref.parts) > 1:
                output, place = ref.parts[1]
                for other in (f"{output}_{_of(good, ref)}", f"outputs.{output}", output.capitalize(), f"{output}s"):
                    yield _at(good, place, output, other), f"steps.{name}.{other}"


def missing_step(good: Good, rng: Random) -> Texts:
    """A step that others read is not there."""
    for name, path in good.steps.items():
        read = any(ref.root[0] == "steps" and ref.parts[0][0] == name for ref in good.references)
        if read and not good.sites[path].flow and path[0] == "steps" and len(good.steps) > 1:
            yield _without(good, path), name


def wrong_type(good: Good, rng: Random) -> Texts:
    """A value of another type than the parameter takes."""
    for path, site in good.sites.items():
        if "with" not in path[2:3] or len(path) != 4 or "${{" in good.raw(site) or _takes_anything(good, path):
            continue
        value = good.value(path)
        if path[3] in ("positive", "value"):
            continue  # takes a text as well as a number
        if isinstance(value, bool):
            yield _put(good, site, '"yes"' if value else '"no"'), f"{path[3]}: a text"
        elif isinstance(value, int | float):
            yield _put(good, site, f'"{value}"'), f"{path[3]}: a number in quotes"
            yield _put(good, site, f"[{value}]"), f"{path[3]}: a list of one number"
        elif isinstance(value, list) and value and all(isinstance(one, str) for one in value) and site.flow:
            if len(value) == 1 and good.uses(str(path[1])).startswith("feast.") and path[3] == "features":
                continue  # one text is one feature, or a feature service
            yield _put(good, site, value[0] if len(value) == 1 else f'"{", ".join(value)}"'), f"{path[3]}: one text"
        elif isinstance(value, str) and not site.style:
            yield _put(good, site, f"[{good.raw(site)}]"), f"{path[3]}: a list of one text"
    for ref in good.references:
        name = ref.parts[0][0]
        if ref.root[0] == "steps" and len(ref.parts) == 2 and name in good.steps and good.action(name):
            output, at = ref.parts[1]
            is_whole = good.raw(ref.site).strip("\"'") == f"${{{{ steps.{name}.{output} }}}}"
            if is_whole and ref.site.path[2:3] == ("with",) and not _takes_anything(good, ref.site.path):
                yield _at(good, at - 1, f".{output}", ""), f"steps.{name} for its output"


def duplicate(good: Good, rng: Random) -> Texts:
    """A key, a step or an entry of a list that is there twice."""
    for path, site in good.sites.items():
        if len(path) == 2 and path[0] == "steps" and not site.flow:
            yield _twice(good, path), f"step {path[1]}"
        elif (
            site.key and not site.flow and path[2:3] and path[0] == "steps" and site.kind == "scalar" and not site.style
        ):
            yield _twice(good, path), f"key {path[-1]}"
        elif site.kind == "list" and site.flow and path[-1] in ("features", "columns", "by", "metrics"):
            items = good.value(path)
            if items and all(isinstance(one, str) for one in items):
                yield _put(good, site, f"[{', '.join([*items, rng.choice(items)])}]"), f"entry of {path[-1]}"


def cycle(good: Good, rng: Random) -> Texts:
    """A step that waits for one that waits for it, or for itself."""
    for name, path in good.steps.items():
        site = good.sites[path]
        below = sorted(other for other in good.steps if name in good.upstream(other))
        if path[0] != "steps" or site.flow or "needs" in good.value(path):
            continue
        for other in [*below, name]:
            indent = _indent(good, site)
            yield _insert(good, site.start, f"needs: [{other}]\n{indent}"), f"{name} needs {other}"


def wrong_nesting(good: Good, rng: Random) -> Texts:
    """What belongs under another key."""
    for name, path in good.steps.items():
        found = good.sites.get((*path, "with"))
        if found is None or found.flow or found.kind != "mapping" or good.sites[path].flow or found.key is None:
            continue
        start, inner, outer = (
            good.text.rfind("\n", 0, found.key[0]) + 1,
            _indent(good, found),
            " " * _column(good, found),
        )
        body = good.text[found.start - len(inner) : found.end]
        moved = "\n".join(line.removeprefix(inner[len(outer) :]) for line in body.split("\n"))
        yield good.text[:start] + moved + good.text[found.end :], f"{name}: parameters beside with"
        for wrapper in ("params", "inputs", "args"):
            nested = "\n".join("  " + line if line.strip() else line for line in body.split("\n"))
            text = good.text[: found.start - len(inner)] + f"{inner}{wrapper}:\n" + nested + good.text[found.end :]
            yield text, f"{name}: with.{wrapper}"
        for option in ("needs", "when", "timeout", "retry", "on_error", "matrix"):
            one = good.sites.get((*path, option))
            if one is not None and one.key is not None and one.kind == "scalar" and not one.style:
                line = good.text[one.key[0] : one.end]
                yield _insert(good, found.start, f"{line}\n{inner}", cut=_line(good, one)), f"{name}: with.{option}"
    steps = good.sites[("steps",)]
    if steps.key is not None and not steps.flow:
        begin = steps.key[0]
        block = good.text[begin : steps.end]
        for wrapper in ("pipeline", "jobs", "workflow"):
            nested = "\n".join("  " + line if line.strip() else line for line in block.split("\n"))
            yield good.text[:begin] + f"{wrapper}:\n" + nested + good.text[steps.end :], f"steps under {wrapper}"


FOREIGN = {
    "GitHub Actions": [
        ("when: ", "if: "),
        ("timeout: ", "timeout-minutes: "),
        ("on_error: continue", "continue-on-error: true"),
    ],
    "Airflow, Argo": [
        ("needs: [", "depends_on: ["),
        ("needs: [", "dependencies: ["),
        ("uses: ", "operator: "),
        ("uses: ", "action: "),
    ],
    "Kedro, Azure": [
        ("with:", "inputs:"),
        ("with:", "parameters:"),
        ("with:", "args:"),
        ("with:", "params:"),
        ("uses: ", "task: "),
    ],
}
"""Keys of a step as other tools write them."""
EXPRESSIONS: Sequence[tuple[str, str]] = (
    ("{{{{ {0} }}}}", "Jinja"), ("${{{0}}}", "shell"), ("$({0})", "Make"), ("<% {0} %>", "Mistral"),
    ("${{{{{{ {0} }}}}}}", "three braces"), ("@{0}", "at"), ("{0}", "no braces"),
)  # fmt: skip


def foreign_syntax(good: Good, rng: Random) -> Texts:
    """A key or an expression as another tool has it."""
    for tool, pairs in FOREIGN.items():
        for ours, theirs in pairs:
            for found in re.finditer(rf"(?m)^ +(?={re.escape(ours)})", good.text):
                if any(
                    site.start <= found.end() < site.end and site.style in ("|", ">") for site in good.sites.values()
                ):
                    continue
                yield _at(good, found.end(), ours, theirs), f"{theirs.strip()} ({tool})"
    for ref in good.references:
        whole = re.fullmatch(r"(['\"]?)\$\{\{ *([\w.]+) *\}\}\1", good.raw(ref.site))
        if whole is not None and not _takes_anything(good, ref.site.path):
            for form, tool in EXPRESSIONS:
                yield _put(good, ref.site, f'"{form.format(whole[2])}"'), f"{form.format(whole[2])} ({tool})"
            if ref.root[0] == "params":
                for other in ("inputs", "vars"):
                    yield _put(good, ref.site, f'"${{{{ {other}.{ref.parts[0][0]} }}}}"'), f"{other} (GitHub Actions)"


TAKES_COLUMNS = (
    "target",
    "features",
    "by",
    "group",
    "columns",
    "exclude",
    "key",
    "weights",
    "treatment",
    "outcome",
    "covariates",
)


def wrong_column(good: Good, rng: Random) -> Texts:
    """A column by another name, as it would be called elsewhere."""
    for path, site in good.sites.items():
        if (
            path[2:3] != ("with",)
            or (path[3:4] and path[3] not in TAKES_COLUMNS)
            or site.kind != "scalar"
            or len(path) not in (4, 5)
        ):
            continue
        if len(path) == 5 and not isinstance(path[4], int):
            continue
        name = good.value(path)
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z_0-9]+", name) or good.raw(site) != name:
            continue
        words = name.split("_")
        camel = words[0] + "".join(word.capitalize() for word in words[1:])
        others = [
            name.upper(),
            f"{name}s",
            name[:-2] + name[-1] + name[-2],
            *([camel, "".join(words)] if len(words) > 1 else []),
        ]
        for other in others:
            if other != name:
                yield _put(good, site, other), other


KINDS: dict[str, Callable[[Good, Random], Texts]] = {
    "invented action": invented_action,
    "wrong reference": wrong_reference,
    "missing step": missing_step,
    "wrong type": wrong_type,
    "duplicate": duplicate,
    "cycle": cycle,
    "wrong nesting": wrong_nesting,
    "other tool's syntax": foreign_syntax,
    "wrong column": wrong_column,
}


def corpus(specs: Sequence[Good], each: int, seed: int) -> list[Defect]:
    """Returns ``each`` defects of every kind, from different specs as far as there are."""
    found: list[Defect] = []
    for kind, make in KINDS.items():
        rng = Random(f"{seed} {kind}")
        of_spec = [[Defect(kind, good, *one) for one in make(good, rng) if one[0] != good.text] for good in specs]
        for some in of_spec:
            rng.shuffle(some)
        rng.shuffle(of_spec)
        chosen: list[Defect] = []
        while len(chosen) < each and any(of_spec):
            chosen += [some.pop() for some in of_spec if some]
        found += chosen[:each]
    return found


def _takes_anything(good: Good, path: Path) -> bool:
    """Returns whether every text is right there: for people, or a value that is only passed on."""
    uses = good.uses(str(path[1])) if path[0] in ("steps", "finally") else ""
    return (
        path[0] not in ("steps", "finally")
        or path[2] != "with"
        or uses.startswith("debug.")
        or uses == "mlflow.log"
        or good.part(str(path[1])) is not None
    )


def _put(good: Good, site: Site, text: str) -> str:
    return good.text[: site.start] + text + good.text[site.end :]


def _at(good: Good, at: int, old: str, new: str) -> str:
    assert good.text.startswith(old, at), (old, good.text[at : at + 20])
    return good.text[:at] + new + good.text[at + len(old) :]


def _of(good: Good, ref: Reference) -> str:
    """Returns what an output is, as it is often added to its name."""
    action = good.action(ref.parts[0][0]) if ref.parts[0][0] in good.steps else None
    declared: Any = action.outputs.model_fields.get(ref.parts[1][0]) if action else None
    return "df" if declared is not None and "Table" in str(declared.annotation) else "value"


def _line(good: Good, site: Site) -> tuple[int, int]:
    assert site.key is not None
    end = good.text.find("\n", site.end)
    return good.text.rfind("\n", 0, site.key[0]) + 1, len(good.text) if end < 0 else end + 1


def _without(good: Good, path: Path) -> str:
    start, end = _line(good, good.sites[path])
    return good.text[:start] + good.text[end:]


def _twice(good: Good, path: Path) -> str:
    start, end = _line(good, good.sites[path])
    lines = good.text[start:end]
    return good.text[:end] + ("" if lines.endswith("\n") else "\n") + lines + good.text[end:]


def _insert(good: Good, at: int, text: str, cut: tuple[int, int] = (0, 0)) -> str:
    start, end = cut
    if end <= at:
        return good.text[:start] + good.text[end:at] + text + good.text[at:]
    return good.text[:at] + text + good.text[at:start] + good.text[end:]


def _indent(good: Good, site: Site) -> str:
    return " " * (site.start - good.text.rfind("\n", 0, site.start) - 1)


def _column(good: Good, site: Site) -> int:
    assert site.key is not None
    return site.key[0] - good.text.rfind("\n", 0, site.key[0]) - 1
