"""Evaluating in processes gives what evaluating here gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import joblib
import pytest

from featx.base_choice import BaseChoice
from featx.errors import FeatxError
from featx.evaluation import side_by_side
from featx.evaluation.comparison import open_comparisons
from featx.evaluation.side_by_side import Results, evaluate_at, evaluate_in_processes
from featx.processes.parallelism import joblib_backend_surrounds
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.extract import extract_features

pytestmark = pytest.mark.slow


@pytest.fixture
def tasks(photos: Path, cache: Path) -> list[side_by_side.Task]:
    layers = ("layer2", "layer3", "layer4")
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny", "random"), layers, cache=cache))
    request = CompareRequest(str(photos), BaseChoice("tiny", "random"), cache=cache, refit=True)
    (comparison,) = open_comparisons(request)
    return [(comparison, layer_set) for layer_set in comparison.layer_sets]


def by_place(results: Results) -> dict[int, list[dict[str, object]]]:
    figures = {}
    for place, evaluations in results:
        rows = [evaluation.result.to_dict() for evaluation in evaluations]
        figures[place] = [{name: row[name] for name in row if name != "fit_seconds"} for row in rows]
    return figures


def test_processes_give_the_same_numbers(tasks: list[side_by_side.Task]) -> None:
    here = by_place(evaluate_at(place, task, 1) for place, task in enumerate(tasks))  # type: ignore[arg-type]
    assert by_place(evaluate_in_processes(tasks, [2, 0, 1], 2, 1)) == here


def test_what_goes_wrong_in_a_process_is_raised(tasks: list[side_by_side.Task], cache: Path) -> None:
    for part in cache.rglob("part-*.h5"):
        part.write_bytes(b"damaged")
    comparison, layer_set = tasks[0]
    broken = [(replace(comparison, classifiers=["logreg"]), layer_set)] * 2
    with pytest.raises(FeatxError, match="extract"):
        list(evaluate_in_processes(broken, [0, 1], 2, 1))


def test_a_backend_of_joblib_that_surrounds_is_seen() -> None:
    assert not joblib_backend_surrounds()
    with joblib.parallel_config("threading"):
        assert joblib_backend_surrounds()
