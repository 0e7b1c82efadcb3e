"""Many images: one fold validates, which the result, its record and the table say, and no older result is lost."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from featx.base_choice import BaseChoice
from featx.errors import RequestError
from featx.evaluation import side_by_side
from featx.evaluation.comparison import open_comparison
from featx.evaluation.evaluate import fingerprint
from featx.features import splits
from featx.linear.many_rows.cost import Problem
from featx.log import NOTE
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features

RANDOM = BaseChoice("tiny", "random")


@pytest.fixture
def request_(photos: Path, cache: Path) -> CompareRequest:
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1",), cache=cache))
    return CompareRequest(str(photos), RANDOM, ("layer1",), ("logreg", "dummy"), cache=cache)


def test_one_split_is_said_and_results_of_five_folds_stay_where_they_were(
    request_: CompareRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_folds = compare_layer_sets(request_)
    assert not any(row.single_split for row in of_folds)
    assert "single_split" not in of_folds[0].to_dict()
    comparison = open_comparison(request_)
    assert "validation" not in fingerprint(comparison, comparison.layer_sets[0], "logreg")
    with monkeypatch.context() as patched:
        patched.setattr(splits, "ONE_FOLD_FROM", 4)
        of_split = {row.clf: row for row in compare_layer_sets(request_)}
        assert of_split["logreg"].single_split
        assert of_split["logreg"].to_dict()["single_split"] is True
        assert any("one split" in note for note in of_split["logreg"].data_notes)
        assert not of_split["dummy"].single_split
        assert not of_split["logreg"].recalled
        (again, _) = compare_layer_sets(request_)
        assert again.recalled
        assert again.single_split
    assert all(row.recalled for row in compare_layer_sets(request_))


@pytest.mark.parametrize("device", ["tpu", "mps", "all", "cuda:0,cuda:1"])
def test_a_device_that_solves_nothing_is_refused_when_asked_for(device: str) -> None:
    with pytest.raises(RequestError, match=f"'device' is '{re.escape(device)}': choose auto, cpu or cuda"):
        CompareRequest("photos", RANDOM, device=device)
    assert CompareRequest("photos", RANDOM, device="cuda:1").device == "cuda:1"


def test_what_takes_more_than_a_minute_is_said_beforehand(
    request_: CompareRequest, caplog: pytest.LogCaptureFixture
) -> None:
    comparison = open_comparison(request_)
    assert side_by_side.estimate_seconds([(comparison, comparison.layer_sets[0])]) == 0
    with caplog.at_level(NOTE):
        side_by_side.announce_seconds(59.0)
        assert not caplog.messages
        side_by_side.announce_seconds(180.0)
    assert caplog.messages[0].startswith("linear classifiers on so many rows take about 3 min on ")


def test_estimates_grow_as_the_product_of_rows_columns_and_classes() -> None:
    problem = Problem(50_000, 256, 100, 1)
    seconds = problem.estimate_seconds("logreg", 2)
    assert replace(problem, rows=100_000).estimate_seconds("logreg", 2) == pytest.approx(2 * seconds)
    assert replace(problem, columns=512).estimate_seconds("logreg", 2) == pytest.approx(2 * seconds)
    assert replace(problem, classes=200).estimate_seconds("logreg", 2) == pytest.approx(2 * seconds)
    assert problem.estimate_seconds("logreg", 1) == pytest.approx(2 * seconds)
    assert problem.is_large
    assert not Problem(1000, 256, 10, 5).is_large
    assert not Problem(5000, 62_720, 17, 5).is_large
