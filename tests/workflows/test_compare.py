"""Concatenated layers, and tables that can be believed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.errors import RequestError, UnknownName
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from tests.conftest import picture, raises_missing

pytestmark = pytest.mark.slow

RANDOM = BaseChoice("tiny", "random")
Featx = Callable[..., Any]


@pytest.fixture
def request_(photos: Path, cache: Path) -> CompareRequest:
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1", "layer3"), ("avg", "max"), cache=cache))
    return CompareRequest(str(photos), RANDOM, ("layer1",), ("svm",), ("avg",), cache=cache)


def test_a_layer_set_concatenates_the_features_of_its_layers(request_: CompareRequest) -> None:
    rows = compare_layer_sets(replace(request_, layers=("layer1", "layer1+layer3", "layer3"), poolings=()))
    assert [(row.layer, row.pooling, row.dim) for row in rows] == [
        (layer, pooling, dim)
        for layer, dim in (("layer1", 32), ("layer1+layer3", 160), ("layer3", 128))
        for pooling in ("avg", "max")
    ]
    assert rows[2].megabytes == pytest.approx(rows[0].megabytes + rows[4].megabytes, abs=0.002)


def test_layers_of_a_set_that_are_not_cached_are_named_in_one_command(request_: CompareRequest) -> None:
    with raises_missing(r"layers 'layer2', 'layer4' of tiny .* are not cached. Run: .* --layer layer2 --layer layer4 "):
        compare_layer_sets(replace(request_, layers=("layer1+layer2", "layer3+layer4")))
    with raises_missing(r"--layer layer1 --layer layer3 --pooling flat"):
        compare_layer_sets(replace(request_, layers=("layer1+layer3",), poolings=("flat",)))
    with pytest.raises(UnknownName, match="unknown layer of tiny 'layr3'. Did you mean 'layer3'"):
        compare_layer_sets(replace(request_, layers=("layer1+layr3",)))


def test_a_fit_takes_one_layer_and_one_classifier(request_: CompareRequest) -> None:
    with pytest.raises(
        RequestError, match=r"one classifier, not 2 layer sets or poolings \(layer1 \(avg\), layer3 \(avg\)\): choose"
    ):
        fit_classifier(replace(request_, layers=("layer1", "layer3")))
    with pytest.raises(RequestError, match=r"not 2 classifiers \(svm, logreg\): choose, or use compare"):
        fit_classifier(replace(request_, classifiers=("svm", "logreg")))


def shuffle(photos: Path, folder: Path) -> Path:
    """A CSV that bears the photos' labels in random order, and more photos, so that chance shows."""
    for number in range(60):
        picture(1000 + number, number % 3).save(photos / "red" / f"more{number}.png")
    paths = sorted(photos.rglob("*.png"))
    labels = np.random.default_rng(0).permutation(np.arange(len(paths)) % 3)
    lines = [f"{path},{('a', 'b', 'c')[label]}" for path, label in zip(paths, labels, strict=True)]
    (folder / "shuffled.csv").write_text("\n".join(["path,label", *lines]))
    return folder / "shuffled.csv"


def test_shuffled_labels_leave_every_classifier_at_chance(photos: Path, cache: Path, tmp_path: Path) -> None:
    data = str(shuffle(photos, tmp_path))
    extract_features(ExtractRequest(data, RANDOM, ("layer1", "layer3"), cache=cache))
    for row in compare_layer_sets(CompareRequest(data, RANDOM, ("layer1+layer3",), cache=cache)):
        assert abs(row.cv_accuracy - 1 / 3) < 0.17
        assert row.ci_low < 1 / 3 < row.ci_high + 0.05


def test_ten_runs_give_identical_numbers(request_: CompareRequest) -> None:
    request = replace(request_, layers=("layer1+layer3",), classifiers=(), refit=True)
    first = [replace(row, fit_seconds=0) for row in compare_layer_sets(request)]
    for _ in range(9):
        assert [replace(row, fit_seconds=0) for row in compare_layer_sets(request)] == first


def test_the_same_fit_writes_the_same_file(request_: CompareRequest, tmp_path: Path) -> None:
    for name in ("a", "b"):
        fit_classifier(replace(request_, refit=True)).model.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture
def base(photos: Path, cache: Path) -> tuple[object, ...]:
    # Ten classes, so that top-5 is given; greens and reds of equal look, so that there are mistakes.
    for number in range(7):
        (photos / f"more{number}").mkdir()
        for place in range(5):
            picture(1000 + number * 50 + place, 1).save(photos / f"more{number}" / f"{place}.png")
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1", "layer3"), cache=cache))
    return (photos, "--base", "tiny", "--weights", "random", "--cache", cache, "-q")


def test_the_table_marks_what_cannot_be_told_apart_and_can_be_sorted(
    featx: Featx, base: tuple[object, ...], tmp_path: Path
) -> None:
    words = ("compare", *base, "--clf", "svm", "--clf", "logreg", "--sort", "dim", "-l", "layer3", "-l", "layer1")
    result = featx(*words, "--csv", tmp_path / "t.csv")
    lines = result.stdout.splitlines()
    assert [line[0] for line in lines[2:6]].count("*") == 1
    assert "(=) cannot be told apart" in result.stdout
    assert max(map(len, lines[:6])) <= 100, "not a terminal"
    wide = featx(*words, "--wide").stdout
    assert "top 5" in wide.splitlines()[0]
    assert "not shown" not in wide
    with (tmp_path / "t.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["dim"] for row in table] == ["32", "32", "128", "128"]
    assert all(0 <= float(row["p_value"]) <= 1 for row in table)
    assert all(float(row["megabytes"]) > 0 and float(row["ms_per_image"]) > 0 for row in table)
    assert "not shown: " in result.stdout
    closing = [
        line
        for line in lines
        if line.startswith(("Best by cross-validation: ", "The deepest of these layers, layer3 "))
    ]
    assert closing == lines[-len(closing) :], "the last lines, and the deepest is layer3 though layer1 was named last"
    assert "Best by cross-validation: " in closing[0]
    assert "Best by cross-validation: " not in (tmp_path / "t.csv").read_text()
    markdown = featx(*words, "--markdown").stdout
    assert "Best by cross-validation: " not in markdown
    assert markdown.splitlines()[1].startswith("|--")
    assert "top 5" in markdown.splitlines()[0]
    assert "4 of 4 rows are from earlier runs" in markdown
    assert "unknown column of `--sort` 'dims'. Did you mean 'dim'" in featx(*words[:-6], "--sort", "dims").error


def test_a_fit_tells_classes_confusions_and_mistakes(featx: Featx, base: tuple[object, ...], tmp_path: Path) -> None:
    words = ("fit", *base, "--layer", "layer1+layer3", "--clf", "logreg")
    text = featx(*words, "--out", tmp_path / "m.featx").stdout
    assert "true \\ predicted" in text
    assert "Most confident mistakes:" in text
    assert "featx predict" in text
    printed = json.loads(featx(*words, "--json").stdout)
    counts = np.array(printed["confusion"])
    assert counts.trace() / counts.sum() == pytest.approx(printed["test_accuracy"], abs=1e-6)
    assert [report["images"] for report in printed["per_class"]] == counts.sum(axis=1).tolist()
    assert printed["top5_accuracy"] >= printed["test_accuracy"]
    shares = [mistake["probability"] for mistake in printed["mistakes"]]
    assert shares == sorted(shares, reverse=True)
    for mistake in printed["mistakes"]:
        assert mistake["label"] in mistake["path"]
        assert mistake["label"] != mistake["predicted"]
