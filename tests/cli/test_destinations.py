"""The first line of a command names every place that its tools use, where it comes from, and no password."""

from __future__ import annotations

from e2i import api
from e2i.cli import destinations
from project import Project

CONFIG = """
shared: {url: "s3://user:hunter2hunter2@bucket/e2i"}
tools:
  mlflow: {artifact_root: "s3://files/mlflow"}
  great_expectations: {context_root: gx}
  optuna: {study_storage: "postgresql://u:hunter2hunter2@127.0.0.1:9/studies"}
  data: {}
"""


def test_servers_folders_and_shared_results_are_named_with_their_source(project: Project) -> None:
    project.write("config/default.yaml", CONFIG)
    environ = {"FEAST_REPO_PATH": "features", "OPIK_URL_OVERRIDE": "http://127.0.0.1:9/api", "ENVIRONMENT": "staging"}
    workspace = api.Workspace.open(root=project.root, environ=environ)
    assert destinations.line(workspace) == (
        "feast features (FEAST_REPO_PATH); great_expectations gx (config/default.yaml); mlflow s3://files/mlflow "
        "(config/default.yaml); opik http://127.0.0.1:9/api (OPIK_URL_OVERRIDE); optuna "
        f"postgresql://127.0.0.1:9/studies (config/default.yaml); other tools embedded in {project.store}; results "
        f"shared at s3://bucket/e2i; profile default (ENVIRONMENT is staging, but there is no {project.root}/config/"
        "staging.yaml: default settings)"
    )


def test_without_any_of_them_all_tools_are_embedded(project: Project) -> None:
    assert destinations.line(project.workspace) == f"tools embedded in {project.store}; profile default"
