"""A cache, results and a model that featx 0.1 wrote are read, found and used as they were.

`earlier/v0.1.zip` holds 24 pictures of three classes, their features at two layers of `tiny`, the rows of `compare`, an
SVM on layer3, and what `predict` said with it; all made before there were ONNX files, a doctor and releases.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ARCHIVE = Path(__file__).parent / "earlier" / "v0.1.zip"
BASE = ("photos", "--base", "tiny")


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What was left by the earlier version, in the current folder."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATX_CACHE", raising=False)
    return tmp_path


def test_features_are_found_and_sound(earlier: Path, featx: Callable[..., Any]) -> None:
    parts = {path: path.read_bytes() for path in earlier.rglob("part-*.h5")}
    extracted = json.loads(featx("extract", *BASE, "--layer", "layer3", "--layer", "layer4", "--json").stdout)
    assert (extracted["images"], extracted["extracted"]) == (24, 0)
    assert featx("cache", "verify", "-q").exit_code == 0
    assert {path: path.read_bytes() for path in earlier.rglob("part-*.h5")} == parts


def test_results_are_recalled_with_their_figures(earlier: Path, featx: Callable[..., Any]) -> None:
    written = json.loads((earlier / "rows.json").read_text())
    found = json.loads(featx("compare", *BASE, "--clf", "logreg", "--clf", "svm", "--json").stdout)
    rows = found if isinstance(found, list) else found["rows"]
    assert len(rows) == len(written) == 4
    for one, other in zip(written, rows, strict=True):
        assert other["recalled"]
        for field in ("layer", "pooling", "clf", "cv_accuracy", "test_accuracy", "ci_low", "ci_high", "params"):
            assert other[field] == one[field]


def test_a_model_labels_pictures_as_it_did(earlier: Path, featx: Callable[..., Any]) -> None:
    written = json.loads((earlier / "labels.json").read_text())
    found = json.loads(featx("predict", "svm.model", "photos", "--json", "-q").stdout)
    assert [image["path"] for image in found] == [image["path"] for image in written]
    for one, other in zip(written, found, strict=True):
        assert other["label"] == one["label"]
        assert other["probabilities"] == pytest.approx(one["probabilities"], abs=1e-4)
