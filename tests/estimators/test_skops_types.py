"""Types in the file of a scikit-learn model that no model of e2i has: they may read files when they predict."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from e2i.estimators import natives


def test_a_reader_of_files_is_refused_however_it_is_written(tmp_path: Path) -> None:
    reader = CountVectorizer(input="filename", vocabulary=["root"])
    model = make_pipeline(reader, LinearRegression())
    skops.io.dump(model, tmp_path / "plain.skops")
    with zipfile.ZipFile(tmp_path / "plain.skops") as plain, zipfile.ZipFile(tmp_path / "odd.skops", "w") as odd:
        for name in plain.namelist():
            odd.writestr(name, plain.read(name).replace(b'"sklearn.', b'"\\u0073klearn.'))
    for name in ("plain", "odd"):
        with pytest.raises(natives.UnreadableError, match=r"parts that no model of e2i has: sklearn\."):
            natives._read_sklearn(tmp_path / f"{name}.skops")


def test_a_model_of_e2i_is_read(tmp_path: Path) -> None:
    skops.io.dump(RandomForestClassifier(2).fit([[0], [1]], [0, 1]), tmp_path / "model.skops")
    assert natives._read_sklearn(tmp_path / "model.skops").n_estimators == 2
