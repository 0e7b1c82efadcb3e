"""Nested cross-validation from end to end: what is judged by whom, what it costs, and what is printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featx as library
from featx.base_choice import BaseChoice
from featx.classifiers.search import search
from featx.errors import RequestError
from featx.evaluation.comparison import open_comparison
from featx.evaluation.nested.evaluations import evaluate_nested
from featx.evaluation.nested.folds import OuterFolds, make_outer_folds
from featx.evaluation.nested.procedure import choose_rows
from featx.evaluation.table_row import TableRow
from featx.features.splits import make_folds
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.compare import compare_layer_sets, compare_rows
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from tests.conftest import make_doubtful

pytestmark = pytest.mark.slow

RANDOM = BaseChoice("tiny", "random")
Featx = Callable[..., Any]


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    """Three classes of fourteen pictures, every fourth of which looks like another class."""
    return make_doubtful(tmp_path / "doubtful", 14)


@pytest.fixture
def request_(doubtful: Path, cache: Path) -> CompareRequest:
    extract_features(ExtractRequest(str(doubtful), RANDOM, ("layer1", "layer3"), cache=cache))
    return CompareRequest(str(doubtful), RANDOM, ("layer1", "layer3"), ("svm", "knn"), cache=cache, nested=5)


def without_seconds(rows: list[TableRow]) -> list[TableRow]:
    return [replace(row, fit_seconds=0) for row in rows]


def list_results(cache: Path) -> dict[str, int]:
    """Files of results, and when each was written."""
    return {file.name: file.stat().st_mtime_ns for file in (cache / "results").glob("*.json")}


def test_every_image_is_judged_by_a_model_that_was_chosen_and_trained_without_it(request_: CompareRequest) -> None:
    row = compare_layer_sets(replace(request_, layers=("layer1",), classifiers=("svm",)))[0]
    comparison = open_comparison(request_)
    dataset = comparison.dataset
    features = comparison.features(comparison.layer_sets[0])
    X = features.take(features.rows(np.arange(42), 1))
    hits = []
    for mask in make_outer_folds(dataset, 5, 1, 42).list_masks(0):
        y = dataset.y[~mask]
        fitted = search(["svm"], X[~mask], y, make_folds(y, dataset.groups[~mask], 42), 42)["svm"]
        hits += (fitted.model.predict(X[mask]) == dataset.y[mask]).tolist()
    assert len(hits) == 42
    assert row.test_accuracy == pytest.approx(np.mean(hits), abs=1e-6)
    assert row.n_test == 42
    assert row.nested is not None
    assert (row.nested.folds, row.nested.repeats, row.nested.spread) == (5, 1, None)


def test_the_labels_of_a_fold_do_not_choose_what_judges_it(request_: CompareRequest) -> None:
    comparison = open_comparison(request_)
    outer = make_outer_folds(comparison.dataset, 5, 1, 42)
    judged = outer.list_masks(0)[0]
    permuted = comparison.dataset.y.copy()
    permuted[judged] = np.roll(permuted[judged], 3)
    assert not np.array_equal(permuted, comparison.dataset.y)

    def inside(of: OuterFolds) -> list[list[tuple[Any, ...]]]:
        rows = evaluate_nested([comparison], of)
        chosen = choose_rows(rows)[0]
        return [
            [(each.params, each.cv_accuracy) for each in (row.by_fold[0][fold].result for row in rows)] + [(place,)]
            for fold, place in enumerate(chosen)
        ]

    before = inside(outer)
    after = inside(replace(outer, dataset=replace(outer.dataset, y=permuted)))
    assert after[0] == before[0]
    assert after[1:] != before[1:], "all other folds train on these labels"


def test_it_costs_as_many_evaluations_as_there_are_folds_and_repeats(request_: CompareRequest, cache: Path) -> None:
    calls: list[tuple[int, int]] = []
    compare_rows(request_, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (20, 20)
    assert len(list_results(cache)) == 20, "4 rows, 5 folds each"
    # The first repeat is recalled.
    report = compare_rows(replace(request_, repeats=2))
    assert len(list_results(cache)) == 40
    assert report.rows[0].nested is not None
    assert report.rows[0].nested.spread is not None
    assert not report.rows[0].recalled
    # The usual table is another matter.
    compare_layer_sets(request_.held_out())
    assert len(list_results(cache)) == 44
    assert all(row.recalled for row in compare_rows(request_).rows)


def test_a_run_that_was_killed_goes_on_where_it_was(request_: CompareRequest, cache: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_rows(request_, stop)
    kept = list_results(cache)
    assert 6 <= len(kept) < 20
    rows = compare_layer_sets(request_)
    assert {name: list_results(cache)[name] for name in kept} == kept, "none of them was computed again"
    assert without_seconds(rows) == without_seconds(compare_layer_sets(replace(request_, refit=True)))


def test_ten_runs_print_identical_numbers(featx: Featx, request_: CompareRequest, cache: Path) -> None:
    words = ("compare", request_.data, "--base", "tiny", "--weights", "random", "--cache", cache, "-l", "layer1")
    words = (*words, "--clf", "svm", "--nested", "3", "--repeats", "2", "--refit", "-q", "--json")

    def run() -> Any:
        values = json.loads(featx(*words).stdout)
        for row in values["rows"]:
            del row["fit_seconds"]
        return values

    first = run()
    for _ in range(9):
        assert run() == first


def test_what_a_data_set_holds_out_by_itself_changes_nothing(doubtful: Path, cache: Path, tmp_path: Path) -> None:
    paths = sorted(doubtful.rglob("*.png"))
    rows = []
    for turned in (False, True):
        lines = ["path,label,split"]
        for place, path in enumerate(paths):
            label = path.parent.name
            split = "test" if place % 4 == 0 else "train"
            if turned and split == "test":
                label = {"red": "green", "green": "blue", "blue": "red"}[label]
            lines.append(f"{path},{label},{split}")
        table = tmp_path / f"{turned}.csv"
        table.write_text("\n".join(lines))
        extract_features(ExtractRequest(str(table), RANDOM, ("layer1",), cache=cache))
        request = CompareRequest(str(table), RANDOM, ("layer1",), ("svm",), cache=cache, nested=5)
        report = compare_rows(request)
        assert report.nested is not None
        assert "is not touched" in report.nested.split
        rows.append(without_seconds(report.rows))
        assert report.rows[0].n_test == 31
        assert compare_layer_sets(request.held_out())[0].hints == (), "featx did not draw the split"
    assert rows[0] == rows[1]


def test_whole_groups_are_judged_together(doubtful: Path, cache: Path) -> None:
    extract_features(ExtractRequest(str(doubtful), RANDOM, ("layer1",), cache=cache))
    request = CompareRequest(
        str(doubtful), RANDOM, ("layer1",), ("svm",), cache=cache, nested=4, group_by=r"/([a-z]+/[0-9])[0-9]*"
    )
    report = compare_rows(replace(request, group_by=r"([a-z]+/[0-9]*[02468]|[0-9]+)\.png"))
    assert report.nested is not None
    dataset = open_comparison(replace(request, group_by=r"([a-z]+/0[0-3]|[0-9]+)\.png")).dataset
    outer = make_outer_folds(dataset, 4, 2, 42)
    for repeat in range(2):
        for mask in outer.list_masks(repeat):
            assert not set(dataset.groups[mask]) & set(dataset.groups[~mask])


def test_json_holds_rows_the_procedure_and_how_it_was_done(
    featx: Featx, request_: CompareRequest, cache: Path, tmp_path: Path
) -> None:
    words = ("compare", request_.data, "--base", "tiny", "--weights", "random", "--cache", cache, "-q", "--clf", "svm")
    usual = json.loads(featx(*words, "--json").stdout)
    values = json.loads(featx(*words, "--nested", "--repeats", "2", "--json", "--csv", tmp_path / "t.csv").stdout)
    assert list(values) == ["rows", "procedure", "nested"]
    assert set(usual[0]) | {"nested"} == set(values["rows"][0])
    assert "nested" not in usual[0]
    row = values["rows"][0]
    assert row["test_accuracy"] == pytest.approx(np.mean(row["nested"]["repeat_accuracies"]), abs=1e-6)
    assert np.shape(row["nested"]["fold_accuracies"]) == (2, 5)
    assert (values["nested"]["folds"], values["nested"]["repeats"], values["nested"]["images"]) == (5, 2, 42)
    assert sum(choice["folds"] for choice in values["procedure"]["chosen"]) == 10
    assert 0 <= values["procedure"]["ci_low"] <= values["procedure"]["test_accuracy"] <= 1
    heading, first = (tmp_path / "t.csv").read_text().splitlines()[:2]
    assert heading.endswith(",nested_folds,nested_repeats,nested_spread")
    assert first.split(",")[-3:-1] == ["5", "2"]


def test_the_table_says_what_it_is_and_fits_the_terminal(
    featx: Featx, request_: CompareRequest, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("compare", request_.data, "--base", "tiny", "--weights", "random", "--cache", cache, "-q", "--clf", "svm")
    monkeypatch.setenv("COLUMNS", "80")
    text = featx(*words, "--nested", "3", "--repeats", "2").stdout
    heading = text.splitlines()[0]
    assert "nested acc" in heading
    assert "spread" in heading
    assert "test acc" not in heading
    nested, _, _ = text.partition("\n\nnot shown")
    assert max(map(len, nested.splitlines())) <= 80
    flat = " ".join(text.split())
    assert "let featx choose: 0." in flat
    assert "of 6 folds" in flat
    assert "3 folds over all 42 images, drawn with seeds 42 to 43; each image is judged 2 times" in flat
    assert "Nadeau and Bengio (2003)" in flat
    assert "best by cross-validation inside the outer folds" in flat
    assert "judged images of the first repeat" in flat
    assert "held out" not in flat
    assert "spread" not in featx(*words, "--nested", "3").stdout.splitlines()[0]
    assert "nested acc" in featx(*words, "--nested", "3", "--markdown").stdout


def test_a_small_table_says_what_nesting_would_bring_and_cost(featx: Featx, request_: CompareRequest) -> None:
    rows = compare_layer_sets(request_.held_out())
    (hint,) = rows[0].hints
    assert hint.startswith(
        "`--nested` would judge all 42 images instead of the 11 held out, which narrows the interval"
    )
    assert hint in rows[0].to_dict()["notes"]
    assert rows[0] == replace(rows[0], hints=()), "it speaks of seconds, which differ from run to run"
    assert compare_layer_sets(request_)[0].hints == ()


def test_fit_says_both_its_held_out_part_and_all_folds(featx: Featx, request_: CompareRequest, cache: Path) -> None:
    one = replace(request_, layers=("layer1",), classifiers=("svm",))
    usual = fit_classifier(one.held_out(), keep_model=False)
    report = fit_classifier(one, keep_model=False)
    assert report.nested is not None
    assert usual.nested is None
    assert "nested" not in usual.to_dict()
    values = report.to_dict()
    assert {**values, "recalled": None} == {**usual.to_dict(), "recalled": None, "nested": values["nested"]}
    row = compare_layer_sets(one)[0]
    assert values["nested"]["test_accuracy"] == row.test_accuracy
    assert (values["nested"]["folds"], values["nested"]["repeats"]) == (5, 1)
    words = ("fit", request_.data, "--base", "tiny", "--weights", "random", "--cache", cache, "-q", "-l", "layer1")
    text = featx(*words, "--clf", "svm", "--nested").stdout
    assert f"5-fold nested cross-validation: accuracy {row.test_accuracy:.3f} (95 % interval" in text
    assert "nested" not in featx(*words, "--clf", "svm").stdout


def test_python_and_toml_take_it_as_well(request_: CompareRequest, cache: Path, tmp_path: Path) -> None:
    table = library.compare(
        request_.data, base="tiny", weights="random", layers="layer1", clf="svm", cache=cache, nested=3, repeats=2
    )
    assert table.procedure is not None
    assert table.nested is not None
    assert "let featx choose" in repr(table)
    fitted = library.fit(
        request_.data, base="tiny", weights="random", layer="layer1", clf="svm", cache=cache, nested=3, repeats=2
    )
    assert fitted.nested is not None
    assert fitted.nested.result.test_accuracy == table[0].test_accuracy
    experiment = tmp_path / "e.toml"
    experiment.write_text(
        f'data = "{request_.data}"\nbase = "tiny"\nweights = "random"\nlayers = ["layer1"]\nclassifiers = ["svm"]\n'
        "nested = 3\nrepeats = 2\n"
    )
    compared = library.run(experiment, cache=cache).compare
    assert without_seconds(compared.rows) == without_seconds(table.rows)


def test_an_experiment_prints_nested_words(featx: Featx, request_: CompareRequest, cache: Path, tmp_path: Path) -> None:
    experiment = tmp_path / "e.toml"
    experiment.write_text(
        f'data = "{request_.data}"\nbase = "tiny"\nweights = "random"\nlayers = ["layer1", "layer3"]\n'
        'classifiers = ["svm"]\nnested = 3\n'
    )
    text = featx("run", experiment, "--cache", cache, "-q").stdout
    assert "let featx choose" in text
    assert "nested accuracy" in text
    assert "held-out part" not in text
    assert {"procedure", "nested"} <= set(json.loads(featx("run", experiment, "--cache", cache, "-q", "--json").stdout))


def test_what_makes_no_sense_is_refused_in_one_line(featx: Featx, request_: CompareRequest, cache: Path) -> None:
    with pytest.raises(RequestError, match="'repeats' is 3, but one held-out part is read once: add --nested"):
        replace(request_, nested=None, repeats=3)
    with pytest.raises(RequestError, match="'nested' must be an integer of at least 2, not 1"):
        replace(request_, nested=1)
    with pytest.raises(RequestError, match="beyond the greatest seed"):
        replace(request_, seed=2**32 - 1, repeats=2)
    words = ("compare", "--base", "tiny", "--cache", cache)
    assert "write --nested 5, or --nested after DATA" in featx(*words, "--nested", request_.data).output
    assert "1 is less than 2" in featx(*words, request_.data, "--nested", "1").output
    with pytest.raises(RequestError, match="head and finetuned are not judged by nested cross-validation"):
        compare_rows(replace(request_, classifiers=("finetuned",)))
