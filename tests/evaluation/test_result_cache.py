"""Results kept on disk: a repeated request costs nothing, and never gives another request's numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from featx.evaluation.protocol import Comparison
from featx.requests import BaseChoice, CompareRequest, ExtractRequest
from featx.workflows.compare import compare
from featx.workflows.extract import extract
from featx.workflows.fit import fit
from tests.conftest import picture

RANDOM = BaseChoice("tiny", "random")


@pytest.fixture
def request_(photos: Path, cache: Path) -> CompareRequest:
    extract(ExtractRequest(str(photos), RANDOM, ("layer1", "layer3"), cache=cache))
    return CompareRequest(str(photos), RANDOM, classifiers=("logreg", "svm"), cache=cache)


def test_a_repeated_request_fits_nothing_and_gives_the_same(
    request_: CompareRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compare(request_)
    assert len(list((request_.cache / "results").iterdir())) == 4
    monkeypatch.setattr(Comparison, "train", None)  # whoever trains now fails
    again = compare(request_)
    assert again == first  # the seconds, too: they are kept as first measured
    assert not any(row.recalled for row in first)
    assert all(row.recalled for row in again)
    one = fit(replace(request_, layers=("layer1",), classifiers=("svm",)))
    assert one.result.test_accuracy == first[1].test_accuracy
    with pytest.raises(TypeError):
        compare(replace(request_, refit=True))


def test_a_part_that_is_new_is_all_that_is_fitted(request_: CompareRequest) -> None:
    compare(replace(request_, layers=("layer1",), classifiers=("svm",)))
    assert [row.recalled for row in compare(request_)] == [False, True, False, False]


def test_records_are_never_written_twice(request_: CompareRequest) -> None:
    compare(request_)
    before = {path: path.read_bytes() for path in (request_.cache / "results").iterdir()}
    compare(request_)
    assert {path: path.read_bytes() for path in (request_.cache / "results").iterdir()} == before


def test_another_seed_label_or_image_is_another_request(request_: CompareRequest, photos: Path) -> None:
    request = replace(request_, layers=("layer1",), classifiers=("logreg",))
    compare(request)
    assert not compare(replace(request, seed=1))[0].recalled
    (photos / "red" / "00.png").rename(photos / "blue" / "moved.png")
    assert not compare(request)[0].recalled
    picture(77, 0).save(photos / "red" / "new.png")
    extract(ExtractRequest(str(photos), RANDOM, ("layer1",), cache=request.cache))
    assert not compare(request)[0].recalled


@pytest.mark.parametrize("damage", ["", "{", "[]", "[" * 100_000, '{"request": 1}', "short"])
def test_a_damaged_record_is_made_again(request_: CompareRequest, damage: str) -> None:
    request = replace(request_, layers=("layer1",), classifiers=("logreg",))
    (first,) = compare(request)
    (record,) = (request_.cache / "results").iterdir()
    if damage == "short":
        whole = json.loads(record.read_text())
        damage = json.dumps({**whole, "predicted": whole["predicted"][:-1]})
    record.write_text(damage)
    (again,) = compare(request)
    assert not again.recalled
    assert replace(again, fit_seconds=0) == replace(first, fit_seconds=0)
    assert compare(request)[0].recalled


def test_a_cache_that_cannot_take_records_is_no_error(request_: CompareRequest) -> None:
    (request_.cache / "results").write_text("no folder")
    assert len(compare(request_)) == 4
