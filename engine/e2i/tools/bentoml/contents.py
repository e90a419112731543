"""Describe what a Bento is to serve: files, stages and requirements. In: folders of models. Out: ``Contents``."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from msgspec import UNSET, Struct, UnsetType, to_builtins
from msgspec.structs import replace

from e2i.errors import StepError

REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+")
LIBRARIES = {
    "xgboost": ("xgboost", "scikit-learn"),
    "lightgbm": ("lightgbm", "scikit-learn"),
    "catboost": ("catboost",),
    "skops": ("skops", "scikit-learn"),
    "pickle": ("cloudpickle", "scikit-learn"),
    "pyfunc": ("mlflow",),
}
"""What reading a flavour needs."""
TRUSTED = re.compile(r"(sklearn|xgboost\.(sklearn|core)|lightgbm\.(sklearn|basic))\.[\w.]+|collections\.OrderedDict")
"""Types in a skops file that are data of these libraries, not code."""


class Stage(Struct, frozen=True):
    """One stage of what is served: its folder in the Bento, and how it is loaded (``flavours.py``)."""

    folder: str
    flavour: str
    file: str | UnsetType = UNSET
    class_: str | UnsetType = UNSET
    format: str | UnsetType = UNSET
    trusted: tuple[str, ...] | UnsetType = UNSET
    code: str | UnsetType = UNSET


class Feature(Struct, frozen=True):
    """A feature by name, with its type in MLflow's words if it is known."""

    name: str
    type: str | None = None


class Contents(Struct, frozen=True):
    """What a Bento serves. ``files`` are copied to the paths that are their keys."""

    stages: tuple[Stage, ...]
    files: Mapping[str, Path]
    requirements: tuple[str, ...]
    features: tuple[Feature, ...] | None = None
    model: str = ""
    """The digest of the model."""
    notes: tuple[str, ...] = ()
    """What its user should know: stages that are code."""

    def serving(self) -> bytes:
        """Return ``serving.json``, by which the service loads the model. Equal for equal content."""
        stages = [
            {("class" if key == "class_" else key): value for key, value in to_builtins(stage).items()}
            for stage in self.stages
        ]
        document = {
            "schema_version": 1,
            "stages": stages,
            "features": to_builtins(self.features),
            "files": {name: _sha256(path) for name, path in sorted(self.files.items())},
        }
        return json.dumps(document, indent=1, sort_keys=True).encode()


def of_model(folder: Path, digest: str) -> Contents:
    """Describe a fitted model of e2i."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    if not manifest["features"]:
        hint = "estimate it with `effect_modifiers`"
        raise StepError("the effect model has no effect modifiers to be asked by", code="bad-feature", hint=hint)
    files = {f"model/{path.relative_to(folder)}": path for path in _files(folder)}
    return Contents((Stage("model", _own(manifest)),), files, _exact(manifest["requirements"]), None, digest)


def features_of(home: Path, tag: str) -> list[str]:
    """Return the features of a Bento in BentoML's home, in their order; none when they are not known."""
    folder = home / "models" / tag.replace(":", "/")
    serving = json.loads((folder / "serving.json").read_text("utf-8"))
    first = serving["stages"][0]
    listed = serving["features"]
    if first["flavour"] in ("e2i", "effects"):
        listed = json.loads((folder / first["folder"] / "manifest.json").read_text("utf-8"))["features"]
    return [str(feature["name"]) for feature in listed or ()]


def of_mlflow(model: Path, preprocessing: Path | None = None) -> Contents:
    """Describe a model that MLflow saved, and what is to happen to rows before it. Raises StepError."""
    described = [_described(model, "model")]
    if preprocessing is not None:
        described.insert(0, _described(preprocessing, "preprocessing"))
    files: dict[str, Path] = {}
    needed: set[str] = set()
    for _, own, requirements in described:
        files |= own
        needed |= set(requirements)
    stages = tuple(stage for stage, _, _ in described)
    notes = tuple(note for stage in stages if (note := _note(stage)))
    contents = Contents(stages, files, _exact(sorted(needed)), _features(preprocessing or model), notes=notes)
    return replace(contents, model=f"sha256:{hashlib.sha256(contents.serving()).hexdigest()}")


def _described(folder: Path, name: str) -> tuple[Stage, dict[str, Path], tuple[str, ...]]:
    """Return the stage that a folder of MLflow's is, its files, and what loading it needs."""
    flavours = _description(folder).get("flavors")
    if not isinstance(flavours, dict) or not flavours:
        raise StepError(f"{folder.name} is not a model of MLflow: its MLmodel has no flavours", code="bad-model")
    function = flavours.get("python_function") or {}
    data = folder / str(function.get("data") or "data")
    if (data / "manifest.json").is_file() and _inside(folder, data):
        manifest = json.loads((data / "manifest.json").read_text("utf-8"))
        files = {f"{name}/{path.relative_to(data)}": path for path in _files(data)}
        return Stage(name, _own(manifest)), files, tuple(manifest["requirements"])
    stage = _native(flavours, name)
    if stage is None:
        if not function:
            raise StepError(
                f"the model has only the flavours {', '.join(sorted(map(str, flavours)))}",
                code="bad-model",
                hint="log it with the flavour of its library, or as a Python function (mlflow.pyfunc)",
            )
        stage = Stage(name, "pyfunc")
    files = {f"{name}/{path.relative_to(folder)}": path for path in _chosen(folder, stage)}
    if isinstance(stage.file, str) and f"{name}/{stage.file}" not in files:
        raise StepError(f"the model lacks its file {stage.file}", code="bad-model")
    needed = set(_stated(folder)) if stage.flavour in ("pickle", "pyfunc") else set()
    named = {item.partition("==")[0] for item in needed}
    needed |= {f"{item}=={_version(item)}" for item in LIBRARIES[stage.flavour] if item not in named}
    return stage, files, tuple(sorted(needed))


def _own(manifest: Mapping[str, Any]) -> str:
    """Return how a model of e2i is loaded, by its manifest."""
    from e2i.estimators.effect_scoring import is_effects

    return "effects" if is_effects(manifest) else "e2i"


def _native(flavours: Mapping[str, Any], name: str) -> Stage | None:
    """Return the stage for a flavour that has a form of its own; None when MLflow itself must load the model."""
    if found := flavours.get("xgboost"):
        return Stage(name, "xgboost", found["data"], str(found.get("model_class") or "xgboost.core.Booster"))
    if found := flavours.get("catboost"):
        return Stage(name, "catboost", found["data"], found["model_type"], format=found.get("save_format") or "cbm")
    if (found := flavours.get("lightgbm")) and str(found.get("model_class", "Booster")).endswith(".Booster"):
        return Stage(name, "lightgbm", found["data"])
    if found := flavours.get("lightgbm") or flavours.get("sklearn"):
        file = str(found.get("pickled_model") or found.get("data"))
        code = str(found["code"]) if found.get("code") else UNSET
        if found.get("serialization_format") != "skops":
            return Stage(name, "pickle", file, code=code)
        trusted = tuple(sorted(map(str, found.get("skops_trusted_types") or ())))
        return Stage(name, "skops", file, trusted=trusted, code=code)
    return None


def _note(stage: Stage) -> str | None:
    """Return what the user of a stage should know: that loading it runs code from its author."""
    trusted = stage.trusted if isinstance(stage.trusted, tuple) else ()
    foreign = [kind for kind in trusted if not TRUSTED.fullmatch(kind)]
    form = {"pickle": "a pickle", "pyfunc": "a Python function"}.get(stage.flavour)
    if foreign:
        form = f"types of other libraries ({', '.join(foreign[:3])})"
    if form is None:
        return None
    return (
        f"the {stage.folder} is {form}: loading it runs code from its author. The service checks that its files "
        "are the ones packaged now; package it only if you trust them"
    )


def _chosen(folder: Path, stage: Stage) -> Iterator[Path]:
    """Yield the files that loading the stage needs."""
    for path in _files(folder):
        relative = str(path.relative_to(folder))
        is_code = isinstance(stage.code, str) and relative.startswith(f"{stage.code}/")
        if stage.flavour == "pyfunc" or relative == stage.file or is_code:
            yield path


def _files(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted. Raises StepError for a link, which could lead anywhere."""
    found = sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    for path in found:
        if path.is_symlink():
            raise StepError(f"the model holds a link: {path.relative_to(folder)}", code="bad-model")
    return [path for path in found if path.is_file()]


def _inside(folder: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _description(folder: Path) -> Mapping[str, Any]:
    """Return what ``MLmodel`` says. Raises StepError when the folder is not a model of MLflow's."""
    try:
        found = yaml.safe_load((folder / "MLmodel").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StepError(f"not a model of MLflow: its MLmodel cannot be read ({error})", code="bad-model") from error
    return found if isinstance(found, dict) else {}


def _features(folder: Path) -> tuple[Feature, ...] | None:
    """Return the columns of the signature; None without one, or for one of arrays."""
    try:
        columns = json.loads((_description(folder).get("signature") or {}).get("inputs") or "[]")
        found = tuple(Feature(str(column["name"]), _type(column)) for column in columns)
    except (ValueError, TypeError, KeyError):
        return None
    return found or None


def _type(column: Mapping[str, Any]) -> str | None:
    return column["type"] if isinstance(column.get("type"), str) and column["type"] != "tensor" else None


def _stated(folder: Path) -> Iterator[str]:
    """Yield the exact versions among the requirements that the model states."""
    try:
        lines = (folder / "requirements.txt").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    yield from (line.strip() for line in lines if REQUIREMENT.fullmatch(line.strip()))


def _exact(given: Any) -> tuple[str, ...]:
    """Require exact versions: other forms of a requirement would run commands in a container's build."""
    listed = [str(item) for item in given]
    if not all(REQUIREMENT.fullmatch(item) for item in listed):
        raise StepError(f"the model's requirements are not exact versions: {listed}", code="bad-model")
    named = {item.partition("==")[0] for item in listed}
    return tuple(sorted(listed + [f"{name}=={version(name)}" for name in ("numpy", "pandas") if name not in named]))


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError as error:
        raise StepError(
            f"serving this model needs {distribution}, which is not installed",
            code="missing-library",
            hint=f"pip install {distribution}",
        ) from error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
