"""Run the BentoML actions. In: models. Out: Bentos, services, endpoints and their predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import EffectModel, Model
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.tools.bentoml import (
    PackageOutputs,
    PackageParams,
    PredictOutputs,
    PredictParams,
    ServeOutputs,
    ServeParams,
)
from e2i.tools.bentoml.build import Recipe
from e2i.tools.bentoml.connector import GuardedBentoML
from e2i.tools.bentoml.contents import of_model
from e2i.tools.bentoml.on_endpoints import deploy, metrics, name_of, rollback, undeploy, update_traffic
from e2i.tools.bentoml.predicting import Answer, plain, plain_value

__all__ = ["deploy", "metrics", "package", "predict", "rollback", "serve", "undeploy", "update_traffic"]

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


async def package(params: PackageParams, ctx: StepContext) -> PackageOutputs:
    """Build the Bento, or return the existing one of the same content."""
    recipe = Recipe(
        params.name, params.version, dict(params.labels), params.workers, params.timeout, params.concurrency
    )
    bento = await ctx.connect(GuardedBentoML).package(
        lambda: of_model(ctx.open(params.model), params.model.digest), recipe
    )
    return PackageOutputs(bento=bento)


async def serve(params: ServeParams, ctx: StepContext) -> ServeOutputs:
    """Start the service and wait until it is ready."""
    bento = params.bento
    command = await ctx.connect(GuardedBentoML).command(bento.tag, params.port, supervised=params.keep)
    with command.claimed:
        service = ctx.serve(
            command.argv, port=command.port, ready="/readyz", env=command.env, digest=bento.digest, keep=params.keep
        )
    return ServeOutputs(service=service)


async def predict(params: PredictParams, ctx: StepContext) -> PredictOutputs:
    """Call the service. With a model, raise StepError when the predictions differ from the model's own."""
    client = ctx.connect(GuardedBentoML)
    url = await _address(params, client, ctx)
    known = await client.metadata(url)
    features = [feature["name"] for feature in known["features"]]
    frame = _rows(params, ctx, features)
    if params.key is None:
        output, bentos = _output(await client.ask(url, plain(frame))), None
    else:
        answer, bentos = await client.ask_each(url, plain(frame), _keys(params, ctx, len(frame)))
        output = _output(answer)
    difference = None
    if params.model is not None:
        difference = _difference(output, _local(params.model, ctx, frame))
        if not difference <= params.tolerance:
            raise StepError(
                f"the service's predictions differ from the model's by up to {difference:.3g} in {len(frame)} rows",
                code="prediction-mismatch",
                hint=f"the service runs model {known['model']}, compared with {params.model.digest}",
                details={"max_difference": difference, "served": known["model"], "compared": params.model.digest},
            )
    found = _named(output, known["classes"], known.get("outputs"))
    if bentos is not None:
        found["bento"] = bentos
    return PredictOutputs(predictions=ctx.table(_kept(params, ctx, found)), max_difference=difference)


async def _address(params: PredictParams, client: GuardedBentoML, ctx: StepContext) -> str:
    """Return the address of the service, or the one that the endpoint has now."""
    if params.endpoint is None:
        assert params.service is not None
        return params.service.url
    client.endpoints.lasting = ctx.lasting
    return await client.url_of(name_of(params.endpoint))


def _keys(params: PredictParams, ctx: StepContext, number: int) -> list[str]:
    """Return the key of each row."""
    assert params.key is not None
    if params.table is not None:
        values = ctx.frame(params.table, [params.key])[params.key].head(number)
    else:
        import pandas as pd

        values = pd.Series([row.get(params.key) for row in params.input or ()])
    return [str(plain_value(value)) for value in values]


def _kept(params: PredictParams, ctx: StepContext, found: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions after the columns of the table that are kept."""
    if params.table is None or not params.keep:
        return found
    if taken := sorted({*params.keep} & {*found.columns}):
        raise StepError(
            f"the predictions have columns of the same name as those to keep: {', '.join(taken)}",
            code="duplicate-column",
            hint="rename the columns of the table, with table.rename",
        )
    kept = ctx.frame(params.table, params.keep).head(len(found)).reset_index(drop=True)
    return kept.assign(**{str(name): found[name] for name in found.columns})


def _rows(params: PredictParams, ctx: StepContext, features: list[str]) -> pd.DataFrame:
    """Return the rows to send, with the model's features only."""
    import pandas as pd

    if params.table is not None:
        return ctx.frame(params.table, features).head(params.rows)
    frame = pd.DataFrame([dict(row) for row in params.input or ()])
    absent = [name for name in features if name not in frame.columns]
    if absent:
        raise StepError(
            f"`input` lacks {', '.join(absent)}", code="unknown-column", hint=f"the model needs {', '.join(features)}"
        )
    return frame[features]


def _output(answer: Answer) -> np.ndarray[Any, Any]:
    """Return the probability of the second of two classes, those of all of more classes, or a regression's numbers."""
    import numpy as np

    if answer.probabilities is None:
        return np.asarray(answer.predictions, dtype=np.float64)
    shares = np.asarray(answer.probabilities, dtype=np.float64)
    return shares[:, 1] if shares.shape[1] == 2 else shares


def _local(model: Model | EffectModel, ctx: StepContext, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    from e2i.estimators import effects, scoring

    if isinstance(model, EffectModel):
        return effects.predict(model, frame, ctx).to_numpy()
    try:
        return scoring.load(ctx.open(model)).predict(frame)
    except scoring.ScoringError as error:
        raise StepError(str(error), code="bad-features") from error


def _difference(served: np.ndarray[Any, Any], local: np.ndarray[Any, Any]) -> float:
    import numpy as np

    if served.shape != local.shape:
        return float("inf")
    return float(np.max(np.abs(served - local), initial=0.0))


def _named(output: np.ndarray[Any, Any], classes: list[Any] | None, outputs: list[str] | None) -> pd.DataFrame:
    import pandas as pd

    if outputs is not None:
        return pd.DataFrame(output.reshape(-1, len(outputs)), columns=outputs)
    if output.ndim == 1:
        return pd.DataFrame({"prediction": output})
    return pd.DataFrame(
        {f"prediction_{label}": output[:, i] for i, label in enumerate(classes or range(output.shape[1]))}
    )
