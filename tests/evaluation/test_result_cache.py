"""Results kept on disk: a repeated request costs nothing, and never gives another request's numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.errors import BrokenPart
from featx.evaluation.comparison import open_comparison
from featx.evaluation.evaluate import evaluate_layer_set
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from tests.conftest import picture

pytestmark = pytest.mark.slow

RANDOM = BaseChoice("tiny", "random")


@pytest.fixture
def request_(photos: Path, cache: Path) -> CompareRequest:
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1", "layer3"), cache=cache))
    return CompareRequest(str(photos), RANDOM, classifiers=("logreg", "svm"), cache=cache)


def damage_features(cache: Path) -> None:
    """Change the last byte of every part: headers stay sound, and whoever reads features finds out."""
    for part in cache.rglob("*.h5"):
        data = bytearray(part.read_bytes())
        data[-1] ^= 1
        part.chmod(0o644)
        part.write_bytes(data)


def test_a_repeated_request_reads_no_features_and_gives_the_same(request_: CompareRequest) -> None:
    first = compare_layer_sets(request_)
    assert len(list((request_.cache / "results").iterdir())) == 4
    damage_features(request_.cache)
    again = compare_layer_sets(request_)
    assert again == first  # the seconds, too: they are kept as first measured
    assert not any(row.recalled for row in first)
    assert all(row.recalled for row in again)
    with pytest.raises(BrokenPart, match="featx cache clean"):
        compare_layer_sets(replace(request_, refit=True))


def test_a_repeated_fit_trains_only_if_the_model_is_needed(request_: CompareRequest) -> None:
    request = replace(request_, layers=("layer1",), classifiers=("svm",))
    first = fit_classifier(request, keep_model=False)
    assert first.model is not None, "it was trained, so it is there"
    again = fit_classifier(request)
    assert again.result.recalled
    assert again.model.predict_proba(np.ones((1, 32))) == pytest.approx(first.model.predict_proba(np.ones((1, 32))))
    damage_features(request.cache)
    recalled = fit_classifier(request, keep_model=False)
    assert recalled.model is None
    assert recalled.to_dict() == again.to_dict()
    with pytest.raises(BrokenPart, match="featx cache clean"):
        fit_classifier(request)


def test_what_was_evaluated_is_what_is_kept(request_: CompareRequest) -> None:
    comparison = open_comparison(replace(request_, layers=("layer1",)))
    trained = evaluate_layer_set(comparison, comparison.layer_sets[0])
    recalled = evaluate_layer_set(comparison, comparison.layer_sets[0])
    assert [evaluation.recalled for evaluation in (*trained, *recalled)] == [False, False, True, True]
    for fresh, kept in zip(trained, recalled, strict=True):
        assert fresh.classifier is not None
        assert kept.classifier is None
        assert kept.result == fresh.result
        assert np.array_equal(kept.predictions.classes, fresh.predictions.classes)
        assert np.array_equal(kept.predictions.confidence, fresh.predictions.confidence)


def test_a_record_holds_what_the_evaluation_gave_and_nothing_of_the_table(request_: CompareRequest) -> None:
    compare_layer_sets(replace(request_, layers=("layer1",), classifiers=("svm",)))
    (record,) = (request_.cache / "results").iterdir()
    stored = json.loads(record.read_text())
    assert set(stored) == {"request", "result", "predicted", "confidence", "figures", "checksum"}
    assert not {"p_value", "megabytes", "ms_per_image", "recalled"} & set(stored["result"])
    assert set(stored["request"]) == {"keys", "rows", "clf", "grid", "seed", "protocol"}


def test_a_part_that_is_new_is_all_that_is_fitted(request_: CompareRequest) -> None:
    compare_layer_sets(replace(request_, layers=("layer1",), classifiers=("svm",)))
    assert [row.recalled for row in compare_layer_sets(request_)] == [False, True, False, False]


def test_records_are_never_written_twice(request_: CompareRequest) -> None:
    compare_layer_sets(request_)
    before = {path: path.read_bytes() for path in (request_.cache / "results").iterdir()}
    compare_layer_sets(request_)
    assert {path: path.read_bytes() for path in (request_.cache / "results").iterdir()} == before


def test_another_seed_label_or_image_is_another_request(request_: CompareRequest, photos: Path) -> None:
    request = replace(request_, layers=("layer1",), classifiers=("logreg",))
    compare_layer_sets(request)
    assert not compare_layer_sets(replace(request, seed=1))[0].recalled
    (photos / "red" / "00.png").rename(photos / "blue" / "moved.png")
    assert not compare_layer_sets(request)[0].recalled
    picture(77, 0).save(photos / "red" / "new.png")
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1",), cache=request.cache))
    assert not compare_layer_sets(request)[0].recalled


@pytest.mark.parametrize("damage", ["", "{", "[]", "[" * 100_000, '{"request": 1}', "short"])
def test_a_damaged_record_is_made_again(request_: CompareRequest, damage: str) -> None:
    request = replace(request_, layers=("layer1",), classifiers=("logreg",))
    (first,) = compare_layer_sets(request)
    (record,) = (request_.cache / "results").iterdir()
    if damage == "short":
        whole = json.loads(record.read_text())
        damage = json.dumps({**whole, "predicted": whole["predicted"][:-1]})
    record.write_text(damage)
    (again,) = compare_layer_sets(request)
    assert not again.recalled
    assert replace(again, fit_seconds=0) == replace(first, fit_seconds=0)
    assert compare_layer_sets(request)[0].recalled


def test_a_digit_that_changed_is_noticed(request_: CompareRequest) -> None:
    request = replace(request_, layers=("layer1",), classifiers=("logreg",))
    (first,) = compare_layer_sets(request)
    (record,) = (request_.cache / "results").iterdir()
    record.write_text(record.read_text().replace('"ci_low": 0.', '"ci_low": 0.1', 1))
    (again,) = compare_layer_sets(request)
    assert not again.recalled
    assert again.ci_low == first.ci_low


def test_a_record_of_an_earlier_version_is_recalled_without_checksum(request_: CompareRequest) -> None:
    request = replace(request_, layers=("layer1",), classifiers=("logreg",))
    (first,) = compare_layer_sets(request)
    (record,) = (request_.cache / "results").iterdir()
    stored = json.loads(record.read_text())
    del stored["checksum"]
    record.write_text(json.dumps(stored))
    (again,) = compare_layer_sets(request)
    assert again.recalled
    assert again == first


def test_a_cache_that_cannot_take_records_is_no_error(request_: CompareRequest) -> None:
    (request_.cache / "results").write_text("no folder")
    assert len(compare_layer_sets(request_)) == 4
