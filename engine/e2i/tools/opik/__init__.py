"""The Opik tool: feedback scores, evaluations, and the sink that logs every run as a trace.

Declarations only: nothing of Opik is imported. Out: ``TOOL``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    SecretStr,
    field_validator,
    model_validator,
)

from e2i.catalog import addresses
from e2i.catalog.action import Action, Effect, Outputs, Params, Tool, ToolSettings, host_and_port, without_credentials
from e2i.catalog.artifacts import Table
from e2i.catalog.marks import Code, Privilege, WorkspaceFile

FILE = "traces.db"
"""File of the embedded backend in the tool's home."""
LARGEST_SCORE = 999_999_999.0
"""Largest absolute value of a feedback score that Opik's server accepts."""


class OpikSettings(ToolSettings):
    """Settings of Opik. The default is embedded: the SDK writes to SQLite in the store, without a service."""

    deadline: Annotated[float, Field(gt=0, le=600, description="Timeout of one call, in seconds.")] = 10.0
    url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s?#@]+$",
            description="API of a server, such as https://opik.example.com/api; null: embedded, in the store.",
        ),
    ] = None
    api_key: Annotated[
        SecretStr | None,
        Field(description="API key of the server. Write ${OPIK_API_KEY:-} and set the environment variable."),
    ] = None
    workspace: Annotated[str, Field(min_length=1, max_length=150, description="Workspace on the server.")] = "default"
    project_name: Annotated[str, Field(min_length=1, max_length=150, description="Project of the traces.")] = "e2i"
    environment: Annotated[
        str | None,
        Field(min_length=1, max_length=150, description="Environment that traces are marked with; null: the profile."),
    ] = None
    sampling_rate: Annotated[
        float,
        Field(
            ge=0, le=1, description="Fraction of traces that are recorded. The decision for one trace never changes."
        ),
    ] = 1.0

    @field_validator("url")
    @classmethod
    def _one_slash(cls, url: str | None) -> str | None:
        return None if url is None else addresses.check(url, addresses.HTTP).rstrip("/") + "/"

    def address(self) -> tuple[str, int] | None:
        return host_and_port(self.url) if self.url else None

    def identity(self) -> Mapping[str, Any]:
        if self.url is None:
            return {}
        return {"url": without_credentials(self.url), "workspace": self.workspace, "project_name": self.project_name}


class ScoreParams(Params):
    """Parameters of ``opik.score``."""

    name: Annotated[str, Field(min_length=1, max_length=150, description="Name of the score, a column in Opik.")]
    value: Annotated[FiniteFloat, Field(ge=-LARGEST_SCORE, le=LARGEST_SCORE, description="The score.")]
    reason: Annotated[str | None, Field(max_length=2000, description="Reason for the score.")] = None
    trace: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            description="The trace to score: the id of a run, or of any trace, also of another program and of any "
            "form; null: this run's.",
        ),
    ] = None
    span: Annotated[
        str | None,
        Field(min_length=1, max_length=200, description="The span in that trace to score; null: the trace itself."),
    ] = None

    @model_validator(mode="after")
    def _has_a_trace(self) -> ScoreParams:
        if self.span is not None and self.trace is None:
            raise ValueError("`span` is in a trace: set `trace` as well")
        return self


class ScoreOutputs(Outputs):
    """Outputs of ``opik.score``."""

    trace: Annotated[str, Field(description="Id of the trace in Opik.")]
    project: Annotated[str, Field(description="Project of the trace.")]
    recorded: Annotated[bool, Field(description="False when the sampling rate leaves the trace out, and its scores.")]


class Function(BaseModel):
    """A function of the workspace, as of ``python.call``."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    file: Annotated[
        str,
        WorkspaceFile(code=True),
        Privilege("run_python", "*"),
        Field(
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9_/.-]{0,200}\.py$",
            description="Python file in the workspace, such as steps/agent.py.",
        ),
    ]
    function: Annotated[
        str, Code(), Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", description="Name of a function in the file.")
    ]


Heuristic = Literal[
    "bertscore", "chrf", "contains", "corpus_bleu", "equals", "gleu", "is_json", "js_distance", "js_divergence",
    "kl_divergence", "language_adherence", "levenshtein_ratio", "meteor", "prompt_injection", "readability",
    "regex_match", "rouge", "sentence_bleu", "sentiment", "spearman_ranking", "tone", "vader_sentiment",
]  # fmt: skip
"""The metrics of the SDK that need no language model, as ``metrics.heuristics`` finds them."""
Metric = Annotated[
    Heuristic,
    Privilege("unpinned_downloads", "bertscore"),
    Privilege("unpinned_downloads", "meteor"),
    Privilege("unpinned_downloads", "sentiment"),
    Privilege("unpinned_downloads", "vader_sentiment"),
]
"""Such a metric, some of which download a model or a corpus when this machine does not have it."""


class EvaluateParams(Params):
    """Parameters of ``opik.evaluate``: the cases in the spec, or in a table."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}$", description="Name of what is evaluated, such as an agent."
        ),
    ]
    cases: Annotated[
        Sequence[Mapping[str, Any]],
        Field(
            max_length=1000,
            description="Test cases with `input`, `expected_output` and, without a `task`, `output`.",
        ),
    ] = ()
    table: Annotated[
        Table | None,
        Field(description="Test cases as rows, with columns of these names, instead of `cases`; others are kept."),
    ] = None
    metrics: Annotated[
        Sequence[Metric],
        Field(
            max_length=50,
            description="Metrics of Opik that need no language model, by name. `regex_match` searches in linear time, "
            "without look-around.",
        ),
    ] = ()
    task: Annotated[
        Function | None,
        Field(description="Function of a case that returns its output, or a mapping with `output`; null: see `cases`."),
    ] = None
    scorer: Annotated[
        Function | None,
        Field(description="Function of a case and its output that returns a number: a metric of the function's name."),
    ] = None

    @model_validator(mode="after")
    def _is_whole(self) -> EvaluateParams:
        if bool(self.cases) == (self.table is not None):
            raise ValueError("set either `cases` or `table`")
        if not self.metrics and self.scorer is None:
            raise ValueError("set `metrics`, `scorer` or both")
        return self


class EvaluateOutputs(Outputs):
    """Outputs of ``opik.evaluate``."""

    scores: Annotated[dict[str, float], Field(description="Mean of each metric over the cases, by name.")]
    table: Annotated[
        Table,
        Field(
            description="One row per case: `case` (its number), `output` (text, or JSON), and a column per metric, "
            "null where it failed."
        ),
    ]
    experiment: Annotated[str, Field(description="Name of the experiment in Opik.")]
    cases: Annotated[int, Field(description="Number of cases.")]


TOOL = Tool(
    name="opik",
    summary="Traces of runs and steps, feedback scores, and evaluations.",
    actions=(
        Action(
            name="score",
            summary="Adds a feedback score to this run's trace, or to any other trace or span.",
            params=ScoreParams,
            outputs=ScoreOutputs,
            effect=Effect.EXTERNAL,
            always=True,  # the score is about this run, so the result of another run cannot be reused
        ),
        Action(
            name="evaluate",
            summary="Evaluates outputs, or a function, on test cases, and keeps it as an experiment, once even after "
            "retries.",
            params=EvaluateParams,
            outputs=EvaluateOutputs,
            effect=Effect.EXTERNAL,
            libraries=("opik",),
            columns=True,
            verified=True,
            version=2,  # regular expressions in linear time
        ),
    ),
    settings=OpikSettings,
    distribution="opik",
    extra="opik",
    outages=("httpx.TransportError",),
    imports=("opik",),
    variables=("OPIK_WORKSPACE", "OPIK_CHECK_TLS_CERTIFICATE", "REQUESTS_CA_BUNDLE"),
    credentials=("OPIK_API_KEY",),
)
