"""Features that tell no images apart are named as such, and JSON holds no NaN."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from featx.base_choice import BaseChoice
from featx.cli.advise import describe_advice
from featx.cli.options import print_json
from featx.evaluation.layer_scores import choose_layer, learning_curve, score_layer
from featx.features.matrix import name_degenerate
from featx.features.splits import LabelledRows
from featx.reports.table import sentence, table
from featx.requests import CompareRequest, ExtractRequest
from featx.store.store import FeatureStore
from featx.workflows.advise import advise_layer
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features

RANDOM = BaseChoice("tiny", "random")
ROWS = LabelledRows(np.repeat(np.arange(3), 10), np.arange(30))


@pytest.mark.parametrize(
    ("X", "name"),
    [
        (np.zeros((5, 3)), "all zero"),
        (np.full((5, 3), 2.0), "constant"),
        (np.full((5, 3), 2.0) + 1e-7 * np.eye(5, 3), "constant"),
        (np.eye(5, 3), None),
    ],
)
def test_features_that_tell_no_images_apart_are_named(X: Any, name: str | None) -> None:
    assert name_degenerate(X.min(axis=0), X.max(axis=0)) == name


@pytest.mark.parametrize("value", [0.0, 0.5])
@pytest.mark.filterwarnings("error")
def test_scores_of_constant_features_are_numbers_and_lose_to_others(value: float) -> None:
    X = np.full((30, 4), value, np.float32)
    score = score_layer(("a", "avg"), X, ROWS, 42, cached=True)
    assert score.degenerate
    json.dumps(score.to_dict(), allow_nan=False)
    assert learning_curve(X, ROWS, "svm", 42)
    noise = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    other = score_layer(("b", "avg"), noise, ROWS, 42, cached=True)
    assert choose_layer([score, replace(other, cv_accuracy={"logreg": 0.1, "svm": 0.1})]).layer == "b"
    assert other.logme > score.logme - 1


def make_constant(photos: Path, cache: Path, value: float) -> CompareRequest:
    """Fill the cache with real features of layer1, and with one value at layer4."""
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1", "layer4"), cache=cache))
    store = FeatureStore(cache)
    (key,) = [summary.key for summary in store.keys() if summary.key.layer == "layer4"]
    from featx.features.dataset import list_dataset

    request = CompareRequest(str(photos), RANDOM, cache=cache)
    digests = list_dataset(request).digests
    length = store.get(key, digests).shape[1]
    store.remove(key)
    store.add(key, digests, np.full((len(digests), length), value, np.float32), {})
    return request


@pytest.mark.parametrize(("value", "words"), [(0.0, "all zero"), (3.0, "constant")])
def test_compare_fit_and_advise_name_them_and_json_has_no_nan(
    photos: Path, cache: Path, value: float, words: str, featx: Callable[..., Result]
) -> None:
    request = make_constant(photos, cache, value)
    said = f"the features of layer4 (avg) are {words}: they tell no images apart"
    for _ in range(2):
        rows = compare_layer_sets(replace(request, classifiers=("logreg", "svm")))
        assert [row.degenerate for row in rows] == [None, None, words, words]
        assert table(rows).count(said) == 1
        assert said in sentence(rows[-1])
        json.dumps([row.to_dict() for row in rows], allow_nan=False)
    advice = advise_layer(request)
    assert said.replace("the", "The", 1) in describe_advice(advice)
    json.dumps(advice.to_dict(), allow_nan=False)
    fitted = featx("fit", photos, "--base", "tiny", "--layer", "layer4", "--clf", "mlp", "--cache", cache, "--json")
    assert json.loads(fitted.stdout)["degenerate"] == words


def test_json_has_null_where_there_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [1.5, float("inf")], "c": (True, None, "x")})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, None], "c": [True, None, "x"]}
