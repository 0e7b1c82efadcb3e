"""Class weights go from a request into training and the choice of C, and are stated only where they were asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import featx as api
from featx.api.models import run_finetuning
from featx.base_choice import BaseChoice
from featx.errors import RequestError, UnknownName
from featx.evaluation.result import TUNED
from featx.reports.table import table as table_text
from featx.requests import CompareRequest, ExtractRequest, FinetuneRequest
from featx.workflows.compare import compare_layer_sets
from featx.workflows.experiment_file import load_pipeline
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from tests.conftest import picture

pytestmark = pytest.mark.slow

RANDOM = BaseChoice("tiny", "random")
Featx = Callable[..., Any]


@pytest.fixture
def request_(photos: Path, cache: Path) -> CompareRequest:
    """A comparison on three classes of which one has three times as many images as the others."""
    for number in range(24):
        picture(1000 + number, number % 3).save(photos / "red" / f"more{number}.png")
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1",), cache=cache))
    return CompareRequest(str(photos), RANDOM, ("layer1",), ("logreg", "svm", "mlp"), cache=cache)


def test_weights_are_stated_only_where_they_were_asked_for_and_older_results_are_found(
    request_: CompareRequest,
) -> None:
    plain = compare_layer_sets(request_)
    balanced = compare_layer_sets(replace(request_, class_weight="balanced"))
    assert [row.class_weight for row in balanced] == ["balanced"] * 3
    assert not any(row.recalled for row in balanced)
    assert [row.to_dict()["class_weight"] for row in balanced] == ["balanced"] * 3
    again = compare_layer_sets(replace(request_, class_weight="none"))
    assert again == plain
    assert all(row.recalled for row in again)
    assert not {"class_weight", "weighted_images"} & set(plain[0].to_dict())
    assert all(row.recalled for row in compare_layer_sets(replace(request_, class_weight="balanced")))


def test_features_larger_than_memory_are_weighted_alike(request_: CompareRequest) -> None:
    named = replace(request_, classifiers=("logreg", "svm"), class_weight="red=0.01", refit=True)
    in_memory = compare_layer_sets(named)
    streamed = compare_layer_sets(replace(named, memory=10_000))
    for one, other in zip(in_memory, streamed, strict=True):
        assert other.class_weight == "red=0.01"
        assert other.balanced_accuracy == pytest.approx(one.balanced_accuracy, abs=0.15)


@pytest.mark.parametrize("clf", ["logreg", "svm", "mlp"])
def test_a_class_whose_errors_cost_most_is_seldom_missed(request_: CompareRequest, clf: str) -> None:
    recalls = {}
    for weight in ("green=1e-3", "green=1e3"):
        report = fit_classifier(replace(request_, classifiers=(clf,), class_weight=weight), keep_model=False)
        recalls[weight] = next(of_class.recall for of_class in report.per_class if of_class.label == "green")
    assert recalls["green=1e3"] > recalls["green=1e-3"]
    assert recalls["green=1e3"] == 1


def test_a_class_that_is_not_there_is_refused_with_those_that_are(request_: CompareRequest) -> None:
    message = "unknown class of 'class_weight' 'gren'. Did you mean 'green'. There are: blue, green, red"
    with pytest.raises(UnknownName, match=message.replace("'. T", r"'\? T")):
        compare_layer_sets(replace(request_, class_weight="gren=2"))


def test_a_model_file_states_its_weights(request_: CompareRequest, tmp_path: Path) -> None:
    plain = fit_classifier(replace(request_, classifiers=("svm",)))
    weighted = fit_classifier(replace(request_, classifiers=("svm",), class_weight="red=2,blue=0.5"))
    assert "class_weight" not in plain.model.protocol
    assert weighted.model.protocol["class_weight"] == "blue=0.5,red=2"
    weighted.model.save(tmp_path / "m.featx")
    assert api.load_model(tmp_path / "m.featx").scores["class_weight"] == "blue=0.5,red=2"


def test_commands_and_keywords_take_the_same_weights(request_: CompareRequest, featx: Featx) -> None:
    arguments = [request_.data, "--base", "tiny", "--weights", "random", "--cache", request_.cache, "-l", "layer1"]
    done = featx("compare", *arguments, "--clf", "logreg", "--class-weight", "red=2, blue=0.5")
    assert "(class weights blue=0.5,red=2)" in done.stdout
    rows = json.loads(
        featx("compare", *arguments, "--clf", "logreg", "--class-weight", "blue=0.5,red=2", "--json").stdout
    )
    assert rows[0]["class_weight"] == "blue=0.5,red=2"
    assert rows[0]["recalled"]
    fitted = api.fit(
        request_.data,
        base=RANDOM,
        layer="layer1",
        clf="logreg",
        cache=request_.cache,
        class_weight={"red": 2, "blue": 0.5},
        keep_model=False,
    )
    assert fitted.result.recalled
    assert fitted.result.class_weight == "blue=0.5,red=2"


def test_fine_tuning_is_weighted_and_shown_beside_rows_that_are_weighted_alike(
    request_: CompareRequest, tmp_path: Path
) -> None:
    tuning = FinetuneRequest(
        request_.data,
        RANDOM,
        "layer4",
        tmp_path / "m.featx",
        cache=request_.cache,
        views=1,
        epochs=1,
        workers=1,
        class_weight="green=1e3",
    )
    tuned = run_finetuning(tuning)
    for report in (tuned.head, tuned.finetuned):
        assert report.result.class_weight == "green=1000"
        assert next(of_class.recall for of_class in report.per_class if of_class.label == "green") == 1
    plain = compare_layer_sets(replace(request_, classifiers=("logreg", *TUNED)))
    assert [row.clf for row in plain] == ["logreg"]
    weighted = compare_layer_sets(replace(request_, classifiers=("logreg", *TUNED), class_weight="green=1000"))
    assert [row.clf for row in weighted] == ["logreg", *TUNED]
    with pytest.raises(UnknownName, match="unknown class of 'class_weight' 'gren'"):
        run_finetuning(replace(tuning, class_weight="gren=2"))


def test_an_experiment_states_weights_once_for_all_of_its_requests(tmp_path: Path, cache: Path) -> None:
    text = 'data = "photos"\nbase = "tiny"\nlayers = ["layer3"]\n'
    for written in ('class_weight = "red=2"\n', "class_weight = {red = 2}\n"):
        (tmp_path / "e.toml").write_text(text + written + '[finetune]\nfrom = "layer4"\n')
        pipeline = load_pipeline(str(tmp_path / "e.toml"), cache)
        assert pipeline.finetune is not None
        assert pipeline.compare.class_weight == pipeline.finetune.class_weight == "red=2"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("even", "'class_weight' has 'even': write none, balanced, or weights of classes such as cat=2,dog=0.5"),
        ("", "'class_weight' is empty: write none, balanced"),
        ("red=two", "'class_weight' has 'red=two': write none"),
        ("=2", "'class_weight' has '=2': write none"),
        ("red=0", "'class_weight' has red=0: every weight must be positive and finite"),
        ("red=-1,blue=nan", "'class_weight' has red=-1, blue=nan: every weight"),
        ("red=inf", "'class_weight' has red=inf: every weight"),
        ("red=1,red=2", "'class_weight' names 'red' twice"),
        ({"red": -1}, "'class_weight' has red=-1: every weight"),
        ({}, "'class_weight' is empty"),
        (3, "'class_weight' must be"),
    ],
)
def test_weights_that_make_no_sense_are_refused_by_every_request(value: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        CompareRequest("photos", RANDOM, class_weight=value)
    with pytest.raises(RequestError, match=message):
        FinetuneRequest("photos", RANDOM, "layer4", Path("m.featx"), class_weight=value)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("balanced", "balanced"),
        (" none ", "none"),
        ("b=2,a=0.50", "a=0.5,b=2"),
        ({"b": 2, "a": 0.5}, "a=0.5,b=2"),
        ({7: 2.0}, "7=2"),
        ('"a,b=2",c=1e-3', '"a,b=2",c=0.001'),
        ({"a,b": 2, "x=y": 3}, '"a,b=2",x=y=3'),
        ({'say "a"': 2}, '"say ""a""=2"'),
    ],
)
def test_equal_weights_are_written_alike_and_read_again(value: Any, written: str) -> None:
    request = CompareRequest("photos", RANDOM, class_weight=value)
    assert request.class_weight == written
    assert CompareRequest("photos", RANDOM, class_weight=written) == request
    assert hash(request.class_weight)


def write_table(folder: Path, photos: Path, weights: dict[int, float]) -> str:
    """A table of all photos, with weights by their places; 1 elsewhere."""
    lines = ["path,label,weight"]
    for place, path in enumerate(sorted(photos.rglob("*.png"))):
        lines.append(f"{path},{path.parent.name},{weights.get(place, 1.0)}")
    (folder / "table.csv").write_text("\n".join(lines))
    return str(folder / "table.csv")


def test_weights_of_images_are_a_column_and_zero_is_no_image(
    request_: CompareRequest, photos: Path, tmp_path: Path
) -> None:
    every_second = {place: float(place % 2) for place in range(60)}
    table = write_table(tmp_path, photos, every_second)
    with_zeros = compare_layer_sets(replace(request_, data=table))
    text = Path(table).read_text().splitlines()
    Path(table).write_text("\n".join(line for line in text if not line.endswith(",0.0")))
    without = compare_layer_sets(replace(request_, data=table))
    assert all(row.recalled for row in without), "the very same data set"
    assert with_zeros == without
    assert not any(row.weighted_images for row in without)

    heavy = write_table(tmp_path, photos, {place: 1.0 + place % 3 for place in range(60)})
    weighted = compare_layer_sets(replace(request_, data=heavy))
    plain = compare_layer_sets(replace(request_, data=str(photos)))
    assert not any(row.recalled for row in weighted)
    assert all(row.to_dict()["weighted_images"] for row in weighted)
    assert [row.n_train for row in weighted] == [row.n_train for row in plain]
    streamed = compare_layer_sets(replace(request_, data=heavy, classifiers=("logreg", "svm"), memory=10_000))
    assert all(row.weighted_images for row in streamed)
    assert "a weight for each image" in table_text(weighted)


def test_who_takes_no_weights_says_so_and_is_found_again(
    request_: CompareRequest, photos: Path, tmp_path: Path
) -> None:
    plain = replace(request_, classifiers=("logreg", "knn", "dummy"))
    before = compare_layer_sets(plain)
    balanced = compare_layer_sets(replace(plain, class_weight="balanced"))
    assert [row.class_weight for row in balanced] == ["balanced", None, None]
    assert [row.recalled for row in balanced] == [False, True, True]
    assert [row.params for row in balanced[1:]] == [row.params for row in before[1:]]
    text = table_text(balanced)
    assert "class weights make no difference: layer1 knn, layer1 dummy" in text
    assert "(class weights balanced); the figures are not" in text
    fitted = fit_classifier(replace(plain, classifiers=("knn",), class_weight="balanced"))
    assert "class_weight" not in fitted.model.protocol
    heavy = write_table(tmp_path, photos, dict.fromkeys(range(20), 9.0))
    weighted = compare_layer_sets(replace(plain, data=heavy))
    assert [row.weighted_images for row in weighted] == [True, False, True]
    assert "weights of images make no difference: layer1 knn" in table_text(weighted)
    assert "class weights make no difference" not in table_text(weighted)


def test_a_figure_that_is_asked_for_is_weighted_and_found_again(request_: CompareRequest) -> None:
    asked = replace(request_, select="balanced_accuracy", class_weight="green=50")
    for request in (asked, replace(asked, classifiers=("logreg", "svm"), memory=10_000)):
        first = compare_layer_sets(request)
        assert all(row.select == "balanced_accuracy" and row.class_weight == "green=50" for row in first)
        again = compare_layer_sets(request)
        assert again == first
        assert all(row.recalled for row in again)
