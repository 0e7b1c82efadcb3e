"""A saved model on new labelled images, with the report of a fit."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import featx as library
from featx.base_choice import BaseChoice
from featx.data.sources.archives.remembered_index import locate_index
from featx.errors import DataError
from featx.models.model import load_model
from featx.requests import CompareRequest, ExtractRequest, ScoreRequest
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from featx.workflows.score import score_model
from tests.conftest import picture
from tests.data.sources.archives.making import write_tar
from tests.data.sources.archives.test_shards import make_old

pytestmark = pytest.mark.slow

Featx = Callable[..., Any]


@pytest.fixture
def model(photos: Path, cache: Path, tmp_path: Path) -> Path:
    tiny = BaseChoice("tiny")
    for number in range(9):  # pictures of no class, so that there are mistakes
        picture(500 + number, 0).convert("L").save(photos / ("red", "green", "blue")[number % 3] / f"grey{number}.png")
    extract_features(ExtractRequest(str(photos), tiny, ("layer3",), cache=cache))
    fit_classifier(CompareRequest(str(photos), tiny, ("layer3",), ("logreg",), cache=cache)).model.save(
        tmp_path / "m.featx"
    )
    return tmp_path / "m.featx"


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """New images of the model's classes."""
    root = tmp_path / "others"
    for hue, name in enumerate(("red", "green", "blue")):
        (root / name).mkdir(parents=True)
        for number in range(4):
            picture(900 + hue * 10 + number, hue).save(root / name / f"{number}.png")
    return root


def test_new_images_get_the_report_of_a_fit(featx: Featx, model: Path, others: Path, tmp_path: Path) -> None:
    result = featx("score", model, others, "-q")
    assert result.exit_code == 0
    assert "logreg on tiny layer3 (avg, 128 numbers): accuracy 1.000 (95 % interval" in result.stdout
    assert "12 images" in result.stdout
    assert "true \\ predicted" in result.stdout
    assert "No mistakes" in result.stdout
    said = json.loads(featx("score", model, others, "--json", "-q", "--csv", tmp_path / "scores.csv").stdout)
    assert said["test_accuracy"] == 1
    assert said["n_test"] == 12
    assert said["confusion"] == [[4, 0, 0], [0, 4, 0], [0, 0, 4]]
    assert said["failed"] == []
    with (tmp_path / "scores.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["predicted"] == row["label"] for row in rows] == [True] * 12


def test_python_scores_a_model_in_hand_or_a_file(model: Path, others: Path) -> None:
    report = library.score(model, others)
    assert report.result.n_test == 12
    in_hand = library.score(load_model(model), others)
    assert in_hand.to_dict() == report.to_dict()


def test_the_images_that_were_fitted_on_give_the_held_out_accuracy_again(
    featx: Featx, model: Path, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = score_model(ScoreRequest(model, str(photos)))
    scores = load_model(model).scores
    assert report.result.test_accuracy == scores["test_accuracy"]
    assert report.result.n_test == scores["n_test"]
    assert "these are the images that the model was fitted on: the " in caplog.text
    assert score_model(ScoreRequest(model, str(photos), split="all")).result.n_test == 45


def test_classes_that_the_model_does_not_know_are_named_and_left_out(
    model: Path, others: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(others / "red", others / "Greem")
    report = score_model(ScoreRequest(model, str(others)))
    assert "4 images are left out, of classes that the model does not know: 'Greem' (4)." in caplog.text
    assert report.unknown_classes == {"Greem": 4}
    assert report.result.n_test == 12
    for name in ("red", "green", "blue"):
        shutil.move(others / name, others / f"{name}dish")
    with pytest.raises(DataError, match=r"has no class that the model knows. Its classes: .*; the model's: 'blue'"):
        score_model(ScoreRequest(model, str(others)))


def test_a_picture_counts_once(model: Path, others: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copy(others / "red" / "0.png", others / "red" / "again.png")
    shutil.copy(others / "red" / "1.png", others / "blue" / "red.png")
    report = score_model(ScoreRequest(model, str(others)))
    assert report.result.n_test == 12
    assert report.repetitions == 2
    assert "2 rows are repetitions of others: a picture counts once" in caplog.text
    assert "1 of the rows bear another label than the same picture before them" in caplog.text


def test_the_part_that_is_scored_is_said(model: Path, others: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = others.parent / "split"
    shutil.copytree(others, root / "train")
    shutil.copytree(others, root / "test")
    shutil.rmtree(root / "test" / "red")
    picture(990, 0).save(root / "test" / "blue" / "other.png")
    report = score_model(ScoreRequest(model, str(root)))
    assert report.result.n_test == 9
    assert "scored: test (9 images); left out: train (12); --split all scores every image" in caplog.text
    assert score_model(ScoreRequest(model, str(root), split="train")).result.n_test == 12
    with pytest.raises(DataError, match=r"has no images of the split 'val': it has test \(9\), train \(12\)"):
        score_model(ScoreRequest(model, str(root), split="val"))


def test_broken_images_are_failures_and_the_exit_code_says_so(featx: Featx, model: Path, others: Path) -> None:
    (others / "red" / "0.png").write_bytes(b"bad")
    result = featx("score", model, others, "--json", "-q")
    assert result.exit_code == 1
    (failure,) = json.loads(result.stdout)["failed"]
    assert failure["path"].endswith("0.png")
    assert "not an image" in failure["reason"]
    for file in others.rglob("*.png"):
        file.write_bytes(b"bad")
    result = featx("score", model, others)
    assert "none of its 12 images can be read" in result.error


def test_the_index_of_shards_is_remembered_in_the_cache_of_the_user(
    model: Path, others: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = write_tar(
        tmp_path / "a.tar", {f"{file.parent.name}/{file.name}": file.read_bytes() for file in others.rglob("*.png")}
    )
    make_old(shard)
    monkeypatch.setenv("FEATX_CACHE", str(cache))
    assert score_model(ScoreRequest(model, str(shard))).result == score_model(ScoreRequest(model, str(others))).result
    assert locate_index(cache, str(shard)).exists()


def test_a_table_is_scored_like_a_folder(model: Path, others: Path) -> None:
    lines = [f"{file.relative_to(others)},{file.parent.name}" for file in sorted(others.rglob("*.png"))]
    (others / "labels.csv").write_text("\n".join(["path,label", *lines]))
    of_table = score_model(ScoreRequest(model, str(others / "labels.csv"))).result
    shutil.move(others / "labels.csv", others.parent)
    assert of_table == score_model(ScoreRequest(model, str(others))).result
