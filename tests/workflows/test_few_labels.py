"""Few labels from end to end: what is trained on, what is kept between runs, and what is printed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featx as library
from featx.base_choice import BaseChoice
from featx.classifiers.grids import LOGREG_C
from featx.classifiers.search import search
from featx.errors import BrokenPart, RequestError
from featx.evaluation.comparison import open_comparison
from featx.evaluation.few_labels.cells import plan_curves
from featx.evaluation.few_labels.curves import measure_all
from featx.evaluation.few_labels.draws import draw_labels
from featx.evaluation.few_labels.figures import FewLabels, halve_interval
from featx.features.splits import make_folds
from featx.linear.fit import fit_linear
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.compare import compare_rows
from featx.workflows.extract import extract_features
from tests.conftest import make_doubtful

pytestmark = pytest.mark.slow

RANDOM = BaseChoice("tiny", "random")
Featx = Callable[..., Any]


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    """Three classes of sixteen pictures, every fourth of which looks like another class."""
    return make_doubtful(tmp_path / "doubtful", 16)


@pytest.fixture
def request_(doubtful: Path, cache: Path) -> CompareRequest:
    extract_features(ExtractRequest(str(doubtful), RANDOM, ("layer1", "layer3"), cache=cache))
    return CompareRequest(str(doubtful), RANDOM, ("layer3",), ("logreg",), cache=cache, shots=(4, 1, 2), draws=3)


@pytest.fixture
def words(request_: CompareRequest) -> tuple[object, ...]:
    choice = ("--base", "tiny", "--weights", "random", "--cache", request_.cache, "-l", "layer3", "-q")
    return ("compare", request_.data, *choice, "--clf", "logreg")


def trace(request: CompareRequest) -> FewLabels:
    few_labels = compare_rows(request).few_labels
    assert few_labels is not None
    return few_labels


def damage_features(cache: Path) -> None:
    """Change the last byte of every part: who reads features finds out."""
    for part in cache.rglob("*.h5"):
        data = bytearray(part.read_bytes())
        data[-1] ^= 1
        part.chmod(0o644)
        part.write_bytes(data)


def test_a_point_is_what_the_usual_protocol_gives_on_the_images_of_its_draw(request_: CompareRequest) -> None:
    report = compare_rows(request_)
    assert report.few_labels is not None
    (curve,) = report.few_labels.curves
    assert [point.shots for point in curve.points] == [1, 2, 4]
    assert [point.labels for point in curve.points] == [3, 6, 12]
    assert curve.whole == report.rows[0].test_accuracy
    comparison = open_comparison(request_)
    dataset = comparison.dataset
    features = comparison.features(comparison.layer_sets[0])
    X = features.take(features.rows(np.arange(48), 1))
    for number in range(3):
        draw = draw_labels(dataset, 42 + number)
        for point in curve.points:
            rows = draw.take(point.shots)
            y = dataset.y[rows]
            if point.shots == 1:
                model = fit_linear(X[rows], y, "logreg", LOGREG_C[7])
                assert point.params[number] == {"C": LOGREG_C[7]}
            else:
                folds = make_folds(y, dataset.groups[rows], draw.seed)
                model = search(["logreg"], X[rows], y, folds, draw.seed)["logreg"].model
            accuracy = np.mean(model.predict(X[dataset.test]) == dataset.y[dataset.test])
            assert point.accuracies[number] == pytest.approx(accuracy, abs=1e-9)


def test_the_held_out_part_chooses_nothing(request_: CompareRequest) -> None:
    comparison = open_comparison(request_)
    task = (comparison, comparison.layer_sets[0])
    plan = plan_curves(comparison)
    (before,) = measure_all([task], plan, None)
    y = comparison.dataset.y.copy()
    y[comparison.dataset.test] = np.roll(y[comparison.dataset.test], 4)
    permuted = replace(comparison, dataset=replace(comparison.dataset, y=y))
    (after,) = measure_all([(permuted, task[1])], plan, None)
    assert [each.params for each in after.values()] == [each.params for each in before.values()]
    assert [each.accuracies for each in after.values()] != [each.accuracies for each in before.values()]


def test_more_labels_are_better(request_: CompareRequest) -> None:
    (curve,) = trace(replace(request_, shots=(1, 8), draws=10)).curves
    few, more = curve.points
    assert more.mean > few.mean + 0.05


def test_a_repeated_request_reads_no_features_and_gives_the_same(request_: CompareRequest) -> None:
    request = replace(request_, classifiers=("logreg", "svm", "knn"))
    first = trace(request)
    assert trace(replace(request, refit=True)) == first, "the same draws and folds"
    damage_features(request.cache)
    assert trace(request) == first
    with pytest.raises(BrokenPart, match="featx cache clean"):
        trace(replace(request, refit=True))


def test_further_draws_and_shots_are_all_that_is_measured(request_: CompareRequest) -> None:
    few = trace(replace(request_, draws=2))
    calls: list[tuple[int, int]] = []
    more = compare_rows(replace(request_, shots=(1, 2, 4, 5)), lambda done, total: calls.append((done, total)))
    assert more.few_labels is not None
    (of_few,), (of_more,) = few.curves, more.few_labels.curves
    for point, longer in zip(of_few.points, of_more.points, strict=False):
        assert longer.accuracies[:2] == point.accuracies
        assert len(longer.accuracies) == 3
    # One row and 12 classifiers, 6 of which are recalled: what is new in each draw.
    assert calls == [(1, 13), (7, 13), (8, 13), (9, 13), (13, 13)]
    damage_features(request_.cache)
    assert trace(replace(request_, draws=2)) == few, "the first draws of a longer record"


def test_whatever_a_point_depends_on_makes_another_record(request_: CompareRequest) -> None:
    def count() -> int:
        return len(list((request_.cache / "results").glob("shots-*.json")))

    request = replace(request_, draws=1, shots=(1, 2))
    trace(request)
    assert count() == 2
    changes: list[dict[str, Any]] = [{"seed": 43}, {"class_weight": "red=3"}, {"select": "macro_f1"}]
    for place, change in enumerate(changes):
        trace(replace(request, **change))
        assert count() == 2 * (place + 2)
    trace(replace(request, layers=("layer1",)))
    assert count() == 10
    trace(replace(request, memory=20_000))
    assert count() == 10, "few labels fit in memory, whatever the whole does"


def test_features_beyond_memory_give_the_same_points(request_: CompareRequest) -> None:
    request = replace(request_, draws=1)
    first = trace(request)
    assert trace(replace(request, memory=20_000, refit=True)).curves[0].points == first.curves[0].points


def test_processes_give_the_same_points(request_: CompareRequest) -> None:
    many = replace(request_, layers=("layer1", "layer3"), draws=8)
    assert (
        trace(replace(many, refit=True)).curves[1].points[1].accuracies[:3]
        == trace(request_).curves[0].points[1].accuracies
    )


def test_views_are_trained_on_and_averaged(doubtful: Path, cache: Path) -> None:
    extract_features(ExtractRequest(str(doubtful), RANDOM, ("layer3",), cache=cache, views=2))
    request = CompareRequest(str(doubtful), RANDOM, ("layer3",), ("svm", "knn"), cache=cache, shots=(1, 2), draws=2)
    both = trace(replace(request, views=2, test_views=2))
    assert [len(point.accuracies) for curve in both.curves for point in curve.points] == [2, 2, 2, 2]
    assert both.curves[0].points != trace(request).curves[0].points


def test_images_of_different_groups_are_labelled_first_and_folds_keep_groups_whole(request_: CompareRequest) -> None:
    grouped = replace(request_, group_by=r"([0-9])\.png", shots=(1, 3))
    dataset = open_comparison(grouped).dataset
    assert dataset.has_groups
    rows = draw_labels(dataset, 42).take(3)
    for code in range(3):
        assert len(np.unique(dataset.groups[rows[dataset.y[rows] == code]])) == 3
    few_labels = trace(grouped)
    assert "draws of the labelled images, of different groups first (seeds 42 to 44)" in few_labels.notes[0]
    assert len(few_labels.curves[0].points) == 2


def test_small_classes_and_large_numbers_are_said(request_: CompareRequest, doubtful: Path) -> None:
    for number in range(4, 16):
        (doubtful / "blue" / f"{number:02}.png").unlink()
    few_labels = trace(replace(request_, shots=(1, 5, 500)))
    assert [point.shots for point in few_labels.curves[0].points] == [1, 5]
    assert few_labels.curves[0].points[1].labels == 13
    notes = "\n".join(few_labels.notes)
    assert "classes with fewer training images than 5 are labelled wholly: 'blue' (3)" in notes
    assert "500 is left out: no class has more than 12 training images" in notes
    assert "with 1 image of each class there are no folds to choose by: C = 0.0316 (logreg), the middle" in notes


def test_what_cannot_be_is_one_line(request_: CompareRequest) -> None:
    changes: list[tuple[dict[str, Any], str]] = [
        ({"shots": (500, 600)}, "'shots' begins at 500, but no class has more than 12 images in the training part"),
        ({"classifiers": ("mlp", "dummy")}, "'shots' is for logreg, svm and knn: name one of them"),
        ({"shots": (0, 1)}, "'shots' has 0: one labelled image of each class is the least"),
        ({"shots": (1, 1, 2)}, "'shots' has 1 more than once"),
        ({"nested": 5}, "'shots' and 'nested' do not go together"),
        ({"shots": ()}, r"'draws' is 3, but no labelled images are drawn: add --shots 1,2,5"),
        ({"seed": 2**32 - 2}, "'seed' plus 'draws' goes beyond the greatest seed"),
        ({"shots": ("a",)}, "'shots' must be a list of integers, not"),
    ]
    for change, message in changes:
        with pytest.raises(RequestError, match=message) as caught:
            compare_rows(replace(request_, **change))
        assert "\n" not in str(caught.value)


def test_the_command_line_refuses_what_is_no_list_of_numbers(featx: Featx, words: tuple[object, ...]) -> None:
    for value in ("a", "1,,2", "1;2", "1.5"):
        result = featx(*words, "--shots", value)
        assert result.exit_code == 2
        assert f"'{value}' is not a list of numbers of images: write --shots 1,2,5,10" in result.output
    assert "'draws' is 5, but no labelled images are drawn" in featx(*words, "--draws", "5").error
    assert "'shots' and 'nested' do not go together" in featx(*words, "--shots", "1", "--nested").error
    assert featx(*words, "--shots", "1", "--draws", "0").exit_code == 2


def test_tables_json_and_csv_say_the_same(featx: Featx, words: tuple[object, ...], tmp_path: Path) -> None:
    words = (*words, "--shots", "1,2,4", "--draws", "3")
    values = json.loads(featx(*words, "--json", "--csv", tmp_path / "t.csv").stdout)
    assert list(values) == ["rows", "shots", "shots_notes"]
    assert len(values["rows"]) == 1
    point = values["shots"][1]
    assert {name: point[name] for name in ("layer", "pooling", "clf", "base", "shots", "labels")} == {
        "layer": "layer3",
        "pooling": "avg",
        "clf": "logreg",
        "base": "tiny",
        "shots": 2,
        "labels": 6,
    }
    assert point["mean"] == pytest.approx(np.mean(point["accuracies"]), abs=1e-6)
    assert point["low"] <= point["mean"] <= point["high"]
    text = featx(*words).stdout
    assert text.index("cv acc") < text.index("Few labels: test accuracy by labelled images of each class, mean of 3")
    assert f"{point['mean']:.3f} ± {halve_interval(point['accuracies']):.3f}" in text
    assert f"{point['mean']:.3f} ± " in featx(*words, "--markdown").stdout
    with (tmp_path / "t-shots.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [float(line["mean"]) for line in lines] == [each["mean"] for each in values["shots"]]
    with (tmp_path / "t.csv").open() as file:
        assert [row["clf"] for row in csv.DictReader(file)] == ["logreg"]


def test_python_and_experiments_take_them_too(request_: CompareRequest, featx: Featx, tmp_path: Path) -> None:
    options: dict[str, Any] = {"base": RANDOM, "layers": "layer3", "clf": ["logreg", "mlp"], "cache": request_.cache}
    table = library.compare(request_.data, shots=[1, 2, 4], draws=3, **options)
    assert table.few_labels is not None
    assert table.few_labels.curves == trace(request_).curves
    assert "no curve of mlp" in repr(table)
    assert "Few labels: test accuracy" in repr(table)
    assert table._repr_html_().count("<table>") == 2
    assert library.compare(request_.data, **options).few_labels is None
    (tmp_path / "e.toml").write_text(
        f"data = '{request_.data}'\nbase = 'tiny'\nweights = 'random'\nlayers = ['layer3']\n"
        "classifiers = ['logreg']\nshots = [1, 2]\ndraws = 3\n"
    )
    report = json.loads(featx("run", tmp_path / "e.toml", "--cache", request_.cache, "-q", "--json").stdout)
    assert [point["shots"] for point in report["shots"]] == [1, 2]
    assert "Few labels" in featx("run", tmp_path / "e.toml", "--cache", request_.cache, "-q").stdout
