"""Choosing by a figure, figures in every row, notes, and results of versions that had none of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, matthews_corrcoef, recall_score, roc_auc_score

import featx as api
from featx.base_choice import BaseChoice
from featx.classifiers.registry import CLASSIFIERS
from featx.errors import RequestError, UnknownName
from featx.evaluation.comparison import open_comparison
from featx.evaluation.evaluate import fingerprint, fingerprint_extended
from featx.evaluation.result_cache import result_file
from featx.models.model import load_model
from featx.requests import CompareRequest, ExtractRequest, SelectedFigure
from featx.workflows.compare import compare_layer_sets
from featx.workflows.experiment_file import load_pipeline
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from tests.conftest import picture

pytestmark = pytest.mark.slow

RANDOM = BaseChoice("tiny", "random")
Featx = Callable[..., Any]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of unequal size, which colour tells apart most of the time."""
    folder = tmp_path / "pets"
    for number in range(90):
        label = "dog" if number % 3 == 0 else "cat"
        (folder / label).mkdir(parents=True, exist_ok=True)
        hue = (number * 7 % 10 < 2) ^ (label == "dog")
        picture(number, int(hue)).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture
def request_(pets: Path, cache: Path) -> CompareRequest:
    extract_features(ExtractRequest(str(pets), RANDOM, ("layer1", "layer3"), cache=cache))
    return CompareRequest(str(pets), RANDOM, ("layer1",), ("logreg", "svm", "knn", "dummy"), cache=cache)


def result_files(request: CompareRequest) -> set[str]:
    return {file.name for file in (request.cache / "results").iterdir()}


def test_figures_of_a_row_are_scikit_learns_of_what_the_model_says(request_: CompareRequest) -> None:
    for clf in request_.classifiers:
        report = fit_classifier(replace(request_, classifiers=(clf,)))
        comparison = open_comparison(request_)
        held_out = np.flatnonzero(comparison.dataset.test)
        features = comparison.features(comparison.layer_sets[0])
        dog = report.model.predict_proba(features.take(held_out))[:, 1]
        predicted, _ = report.model.classifier.predict(features.take(held_out))
        truth = comparison.dataset.y[held_out]
        row = report.result
        assert row.positive == "dog"
        assert row.roc_auc == pytest.approx(roc_auc_score(truth, dog), abs=1e-6)
        assert row.average_precision == pytest.approx(average_precision_score(truth, dog), abs=1e-6)
        assert row.matthews == pytest.approx(matthews_corrcoef(truth, predicted), abs=1e-6)
        assert row.sensitivity == pytest.approx(recall_score(truth, predicted), abs=1e-6)
        assert row.specificity == pytest.approx(recall_score(truth, predicted, pos_label=0), abs=1e-6)


def test_another_positive_class_needs_no_training_and_swaps_both_sides(request_: CompareRequest) -> None:
    dogs = compare_layer_sets(request_)
    cats = compare_layer_sets(replace(request_, positive="cat"))
    for dog, cat in zip(dogs, cats, strict=True):
        assert cat.recalled
        assert cat.positive == "cat"
        assert (cat.sensitivity, cat.specificity) == (dog.specificity, dog.sensitivity)
        assert cat.matthews == dog.matthews


def test_a_positive_class_that_is_none_of_two_is_refused_before_anything_is_fitted(
    request_: CompareRequest, photos: Path
) -> None:
    with pytest.raises(UnknownName, match="unknown class of `--positive` 'dgo'. Did you mean 'dog'"):
        compare_layer_sets(replace(request_, positive="dgo"))
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1",), cache=request_.cache))
    with pytest.raises(RequestError, match="'--positive red' says which of two classes .* there are 3"):
        compare_layer_sets(replace(request_, data=str(photos), positive="red"))
    assert not (request_.cache / "results").exists()


@pytest.mark.parametrize("figure", get_args(SelectedFigure))
def test_every_figure_chooses_in_every_classifier_and_is_recalled(
    request_: CompareRequest, figure: SelectedFigure
) -> None:
    request = replace(request_, select=figure)
    first = compare_layer_sets(request)
    assert all(row.select == figure and row.cv_figure is not None for row in first)
    again = compare_layer_sets(request)
    assert again == first
    assert all(row.recalled for row in again)
    winner = max(first, key=lambda row: row.merit)
    assert (
        api.compare(
            request.data,
            base=RANDOM,
            layers="layer1",
            clf=list(request.classifiers),
            cache=request.cache,
            select=figure,
        ).best
        == winner
    )


def test_results_without_a_figure_to_choose_by_stay_where_they_were(request_: CompareRequest) -> None:
    before = compare_layer_sets(request_)
    files = result_files(request_)
    comparison = open_comparison(request_)
    stated = fingerprint(comparison, comparison.layer_sets[0], "dummy")
    assert "select" not in stated
    assert "extended" not in stated
    compare_layer_sets(replace(request_, select="macro_f1"))
    assert len(result_files(request_)) == 2 * len(files)
    after = compare_layer_sets(request_)
    assert after == before
    assert all(row.select is None and row.cv_figure is None for row in after)


def write_as_before(request: CompareRequest, clf: str, C: float | None = None) -> Path:
    """Write the result of a classifier as versions without further figures did, perhaps with another C."""
    compare_layer_sets(replace(request, classifiers=(clf,)))
    comparison = open_comparison(request)
    stated = fingerprint(comparison, comparison.layer_sets[0], clf)
    file = result_file(request.cache, stated)
    source = file if file.exists() else result_file(request.cache, fingerprint_extended(stated))
    record = json.loads(source.read_text())
    for name in ("figures", "edge", "checksum"):
        record.pop(name, None)
    record["request"].pop("extended", None)
    if C is not None:
        record["result"]["params"] = {"C": C}
    source.unlink()
    file.write_text(json.dumps(record))
    return file


def test_results_of_older_versions_get_the_figures_that_their_predictions_allow(request_: CompareRequest) -> None:
    request = replace(request_, classifiers=("knn",))
    (fresh,) = compare_layer_sets(request)
    write_as_before(request, "knn")
    (old,) = compare_layer_sets(request)
    assert old.recalled
    assert (old.matthews, old.sensitivity, old.specificity) == (fresh.matthews, fresh.sensitivity, fresh.specificity)
    assert (old.roc_auc, old.average_precision) == (None, None)
    (refitted,) = compare_layer_sets(replace(request, refit=True))
    assert refitted.roc_auc == fresh.roc_auc


@pytest.mark.parametrize("place", [0, -1])
def test_results_of_older_versions_whose_c_lies_at_the_edge_are_computed_once_more(
    request_: CompareRequest, place: int
) -> None:
    request = replace(request_, classifiers=("logreg",))
    edge = CLASSIFIERS["logreg"].values[place]  # type: ignore[union-attr]
    write_as_before(request, "logreg", edge)
    (row,) = compare_layer_sets(request)
    assert not row.recalled
    assert row.params["C"] != edge
    (again,) = compare_layer_sets(request)
    assert again.recalled
    assert again == row


def test_a_row_that_was_extended_is_recalled(request_: CompareRequest, pets: Path) -> None:
    # Labels that nothing explains: the log-loss is least with the strongest penalty.
    random = np.random.default_rng(3)
    lines = ["path,label"]
    for path in sorted(pets.rglob("*.png")):
        label = random.choice(["a", "b"])
        lines.append(f"{path},{label}")
    table = pets.parent / "noise.csv"
    table.write_text("\n".join(lines))
    request = replace(request_, data=str(table), classifiers=("logreg",))
    (row,) = compare_layer_sets(request)
    assert row.params["C"] < CLASSIFIERS["logreg"].values[0]  # type: ignore[union-attr]
    assert any("is the lowest that was tried" in note for note in row.notes)
    assert any(note.startswith("not better than the dummy") for note in row.notes)
    (again,) = compare_layer_sets(request)
    assert again.recalled
    assert again == row


def test_out_of_core_every_figure_chooses_too_and_the_dummy_needs_no_features(request_: CompareRequest) -> None:
    request = replace(request_, memory=20_000, classifiers=("logreg", "svm", "dummy"), select="balanced_accuracy")
    rows = compare_layer_sets(request)
    assert all(row.cv_figure is not None for row in rows)
    assert compare_layer_sets(request) == rows
    with pytest.raises(RequestError, match="'knn' needs all features in memory, which --memory does not allow"):
        compare_layer_sets(replace(request, classifiers=("knn",)))


@pytest.mark.parametrize("clf", ["knn", "dummy"])
@pytest.mark.parametrize("views", [1, 2])
def test_rows_to_hold_on_to_are_fitted_saved_and_predict(
    request_: CompareRequest, pets: Path, tmp_path: Path, clf: str, views: int
) -> None:
    extract_features(ExtractRequest(str(pets), RANDOM, ("layer1",), cache=request_.cache, views=views))
    report = fit_classifier(replace(request_, classifiers=(clf,), views=views, test_views=views))
    report.model.save(tmp_path / "m.featx")
    loaded = load_model(tmp_path / "m.featx")
    X = np.random.default_rng(0).random((5, 32)).astype(np.float32)
    assert np.array_equal(loaded.predict_proba(X), report.model.predict_proba(X))
    loaded.save(tmp_path / "again.featx")
    assert (tmp_path / "again.featx").read_bytes() == (tmp_path / "m.featx").read_bytes()
    labelled = api.predict(loaded, [pets]).labelled
    assert {image.label for image in labelled} <= {"cat", "dog"}
    assert len(labelled) == 90
    assert ("(knn: by it)" in loaded.protocol["words"]) is (clf == "knn")
    if clf == "knn":
        assert loaded.classifier.arrays["neighbours"].dtype == np.float32
        pictures = len(loaded.classifier.arrays["labels"])
        assert len(loaded.classifier.arrays["neighbours"]) == views * pictures
        assert pictures == report.result.n_train


def test_the_command_line_and_experiments_take_both_options(
    request_: CompareRequest, featx: Featx, tmp_path: Path
) -> None:
    words = ("--base", "tiny", "--weights", "random", "--cache", request_.cache, "-q")
    options = ("--select", "average_precision", "--positive", "cat")
    ran = featx("compare", request_.data, *words, *options, "--clf", "svm", "--clf", "dummy", "--json")
    rows = json.loads(ran.stdout)
    assert [row["clf"] for row in rows] == ["svm", "dummy"] * 2
    assert all(row["select"] == "average_precision" and row["positive"] == "cat" for row in rows)
    assert all(isinstance(row["notes"], list) for row in rows)
    fitted = featx("fit", request_.data, *words, *options, "--layer", "layer1", "--clf", "svm").stdout
    assert "sensitivity" in fitted
    assert "(positive class: 'cat')" in fitted
    unknown = featx("compare", request_.data, *words, "--select", "f1")
    assert unknown.exit_code == 2
    assert "'f1' is not one of 'accuracy', 'balanced_accuracy'" in unknown.stderr

    lines = [f"data = '{request_.data}'", "base = 'tiny'", "weights = 'random'", "layers = ['layer1']"]
    experiment = tmp_path / "experiment.toml"
    experiment.write_text("\n".join([*lines, "select = 'macro_f1'", "positive = 'cat'"]))
    compare = load_pipeline(str(experiment), request_.cache).compare
    assert (compare.select, compare.positive) == ("macro_f1", "cat")
    experiment.write_text("\n".join([*lines, "select = 'macrof1'"]))
    with pytest.raises(UnknownName, match="unknown select 'macrof1'. Did you mean 'macro_f1'"):
        load_pipeline(str(experiment), request_.cache)
