"""Build a Bento, once for equal content. In: what it is to serve, and a recipe for it. Out: the Bento."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from threading import Lock

import yaml
from msgspec import Struct, field
from msgspec.structs import asdict

from e2i.catalog.artifacts import Bento
from e2i.errors import StepError
from e2i.estimators import travelling
from e2i.regular import open_to_group
from e2i.resilience import removal
from e2i.resilience.lock import exclusive
from e2i.tools.bentoml.contents import Contents
from e2i.tools.bentoml.kept import is_there, mark_of

TEMPLATE = Path(__file__).with_name("template.py")
FLAVOURS = Path(__file__).with_name("flavours.py")
CALLERS = Path(__file__).with_name("callers.py")
_FIRST_IMPORT = Lock()
MODEL_URI = "model_uri"
"""Label of a Bento: the address in MLflow that its model came from. One content may have several."""


class Recipe(Struct, frozen=True):
    """Options of a service."""

    name: str
    version: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    timeout: int = 30
    concurrency: int = 32


def use_here(home: Path) -> bool:
    """Import BentoML with that home; return False when this process uses another, as BentoML reads it once."""
    with _FIRST_IMPORT:
        if "bentoml" in sys.modules:
            return Path(os.environ.get("BENTOML_HOME", "")).resolve() == home.resolve()
        os.environ["BENTOML_HOME"] = str(home.resolve())
        import bentoml  # noqa: F401
    return True


def ensure_bento(
    home: Path,
    contents: Contents,
    recipe: Recipe,
    how: Callable[[Path, str, str, Contents, Recipe], None],
) -> Bento:
    """Return the Bento of that content and recipe. Raises StepError when other content uses its version.

    A Bento is complete once its marker file is written. An incomplete or deleted Bento is built again, by ``how``:
    ``build``, or ``build_apart``.
    """
    home.mkdir(parents=True, exist_ok=True)
    digest = _digest(contents, recipe)
    tag = f"{recipe.name}:{recipe.version or digest[7:23]}"
    mark = mark_of(home, tag)
    with exclusive(home / "lock"):
        if mark.exists() and is_there(home, tag):
            made = json.loads(mark.read_text("utf-8"))["digest"]
            if made != digest:
                raise StepError(
                    f"the Bento {tag} exists with other content",
                    code="bento-exists",
                    hint="leave `version` out, or set another one",
                )
        else:
            try:
                how(home, tag, digest, contents, recipe)
            finally:  # BentoML makes folders for their user alone
                open_to_group(home / "bentos", home / "models")
            mark.parent.mkdir(exist_ok=True)
            with mark.with_suffix(".new").open("w", encoding="utf-8") as file:
                json.dump({"schema_version": 1, "digest": digest}, file)
                file.flush()
                os.fsync(file.fileno())
            mark.with_suffix(".new").replace(mark)
    return Bento(digest=digest, tag=tag, model=contents.model)


def build(home: Path, tag: str, digest: str, contents: Contents, recipe: Recipe) -> None:
    """Build the Bento in this process, which uses BentoML with that home (``use_here``). Raises StepError."""
    import bentoml
    from bentoml.exceptions import BentoMLException

    name, _, number = tag.partition(":")
    try:
        _drop(home, tag)
        with bentoml.models.create(tag, labels={"platform": "e2i"}) as stored:
            for relative, file in contents.files.items():
                target = Path(stored.path_of(relative))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
            Path(stored.path_of("serving.json")).write_bytes(contents.serving())
        with tempfile.TemporaryDirectory(dir=home) as context:
            # BentoML imports a service by its module name, so each Bento's module needs a unique name.
            module = f"e2i_service_{digest[7:23]}"
            shutil.copyfile(TEMPLATE, Path(context) / f"{module}.py")
            for source in _sources():
                shutil.copyfile(source, Path(context) / source.name)
            config = {
                **asdict(recipe),
                "version": number,
                "digest": digest,
                "model": contents.model,
                "model_tag": tag,
            }
            (Path(context) / "service.json").write_text(json.dumps(config, indent=1, sort_keys=True), "utf-8")
            bentoml.bentos.build(
                f"{module}:ModelService",
                name=name,
                version=number,
                labels={**recipe.labels, "platform": "e2i", "model": contents.model[7:23]},
                build_ctx=context,
                include=[f"{module}.py", *(source.name for source in _sources()), "service.json"],
                models=[tag],
                python={"packages": list(contents.requirements), "lock_packages": False},
            )
    except BentoMLException as error:
        raise StepError(f"BentoML could not build {tag}: {str(error)[:500]}", code="bento-failed") from error


def _drop(home: Path, tag: str) -> None:
    """Remove the remains of an interrupted build, and nothing that others made."""
    path = tag.replace(":", "/")
    for file in (home / "bentos" / path / "bento.yaml", home / "models" / path / "model.yaml"):
        if file.is_file() and (yaml.safe_load(file.read_text("utf-8")).get("labels") or {}).get("platform") != "e2i":
            raise StepError(
                f"{tag} exists, and e2i did not make it", code="bento-exists", hint="set another `version` or name"
            )
    for store in ("bentos", "models"):
        with contextlib.suppress(OSError):
            removal.remove(home, store, *tag.split(":"))


def _digest(contents: Contents, recipe: Recipe) -> str:
    """Return ``sha256:…`` of the whole content of the Bento, except its version and the address of its model."""
    labels = {name: value for name, value in recipe.labels.items() if name != MODEL_URI}
    content = {
        "serving": hashlib.sha256(contents.serving()).hexdigest(),
        "recipe": {**asdict(recipe), "labels": labels, "version": None},
        "requirements": list(contents.requirements),
        "sources": [hashlib.sha256(path.read_bytes()).hexdigest() for path in (TEMPLATE, *_sources())],
        "bentoml": version("bentoml"),
    }
    return f"sha256:{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}"


def _sources() -> tuple[Path, ...]:
    """Return the modules that are copied into each Bento beside the template."""
    return *travelling.files(effects=True).values(), FLAVOURS, CALLERS
