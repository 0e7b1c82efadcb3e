"""Comparisons and fits on two nodes of a Ray cluster give the numbers, and the models, of one machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.evaluation.fit_report import FitReport
from featx.evaluation.table_row import TableRow
from featx.log import NOTE
from featx.processes.cluster import ClusterError, Node
from featx.processes.cluster_calls import choose_threads
from featx.processes.node_check import NodeError
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.compare import compare_rows
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from tests.conftest import make_doubtful
from tests.runners.clusters import TestCluster, started, wait_for_node

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]

LAYERS = ("layer1", "layer2", "layer3", "layer4")


@pytest.fixture(scope="module")
def cluster() -> Iterator[TestCluster]:
    with started(2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> CompareRequest:
    folder = tmp_path_factory.mktemp("compare")
    data = str(make_doubtful(folder / "photos", 24))
    base = BaseChoice("tiny", "random")
    extract_features(ExtractRequest(data, base, LAYERS, ("avg", "max"), cache=folder / "cache"))
    return CompareRequest(data, base, classifiers=("logreg", "svm"), cache=folder / "cache", refit=True)


@pytest.fixture(scope="module")
def fit_request(request_: CompareRequest) -> CompareRequest:
    return replace(request_, layers=("layer2+layer3",), poolings=("avg",), classifiers=("logreg",))


def without_seconds(rows: list[TableRow]) -> list[dict[str, Any]]:
    return [drop_seconds(row.to_dict()) for row in rows]


def drop_seconds(value: Any) -> Any:
    """Leave out what takes another time in every run, wherever it stands in JSON."""
    if isinstance(value, dict):
        return {name: drop_seconds(of_name) for name, of_name in value.items() if "seconds" not in name}
    return [drop_seconds(each) for each in value] if isinstance(value, list | tuple) else value


def save(report: FitReport, file: Path) -> bytes:
    report.model.save(file)
    return file.read_bytes()


def test_two_nodes_give_the_numbers_of_one_machine(request_: CompareRequest, cluster: TestCluster) -> None:
    told: list[tuple[int, int]] = []
    expected = compare_rows(request_).rows
    rows = compare_rows(replace(request_, runner="ray"), lambda done, total: told.append((done, total))).rows
    assert len(rows) == 2 * 2 * len(LAYERS)
    assert without_seconds(rows) == without_seconds(expected)
    assert told[-1] == (len(rows), len(rows))


def test_what_is_known_needs_no_cluster(request_: CompareRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = compare_rows(request_).rows
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    rows = compare_rows(replace(request_, refit=False, runner="ray")).rows
    # Rows that were found again say so.
    assert [row.test_accuracy for row in rows] == [row.test_accuracy for row in expected]


def test_few_labels_give_the_same_curves(request_: CompareRequest, cluster: TestCluster) -> None:
    request = replace(request_, layers=("layer3",), poolings=("avg",), classifiers=("logreg",), shots=(1, 3), draws=3)
    expected = compare_rows(request).few_labels
    found = compare_rows(replace(request, runner="ray")).few_labels
    assert expected is not None
    assert found is not None
    assert found.to_dict() == expected.to_dict()


@pytest.mark.parametrize("clf", ["logreg", "svm", "mlp", "knn"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_fit_on_a_cluster_gives_the_report_and_the_model_of_one_machine(
    fit_request: CompareRequest, cluster: TestCluster, tmp_path: Path, clf: str, whole: bool
) -> None:
    request = replace(fit_request, classifiers=(clf,))
    expected = fit_classifier(request, whole=whole)
    report = fit_classifier(replace(request, runner="ray"), whole=whole)
    assert drop_seconds(report.to_dict()) == drop_seconds(expected.to_dict())
    assert save(report, tmp_path / "ray.featx") == save(expected, tmp_path / "local.featx")
    assert report.model.known is not None
    # Ray gives arrays that cannot be written to.
    assert all(array.flags.writeable for array in report.model.classifier.arrays.values())


def test_the_outer_folds_of_a_fit_are_judged_on_a_cluster_that_is_opened_once(
    fit_request: CompareRequest, cluster: TestCluster, caplog: pytest.LogCaptureFixture
) -> None:
    request = replace(fit_request, nested=3, repeats=2)
    expected = fit_classifier(request, keep_model=False).to_dict()
    caplog.set_level(NOTE, "featx")
    report = fit_classifier(replace(request, runner="ray"), keep_model=False).to_dict()
    assert caplog.text.count("Ray: connected to") == 1
    ray = pytest.importorskip("ray")
    assert not ray.is_initialized(), "the connection ends with the fit"
    assert len(report["nested"]["fold_accuracies"]) == 2
    assert drop_seconds(report) == drop_seconds(expected)


def test_a_fit_that_is_known_needs_no_cluster_but_its_model_and_new_folds_do(
    fit_request: CompareRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fit_classifier(replace(fit_request, nested=3), keep_model=False)
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    request = replace(fit_request, nested=3, refit=False, runner="ray")
    report = fit_classifier(request, keep_model=False)
    assert report.model is None
    assert np.array_equal(report.confusion, expected.confusion)
    lacking: list[dict[str, Any]] = [
        {"request": request},
        {"request": request, "keep_model": False, "whole": True},
        {"request": replace(request, nested=4), "keep_model": False},
    ]
    for arguments in lacking:
        with pytest.raises(ClusterError, match="there is no Ray cluster at RAY_ADDRESS 'nowhere'"):
            fit_classifier(**arguments)


def test_a_fit_without_ray_is_one_clear_line(fit_request: CompareRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    match = r"^'--runner ray' needs Ray, which is not installed. Run: pip install 'featx\[ray\]'$"
    with pytest.raises(ClusterError, match=match):
        fit_classifier(replace(fit_request, runner="ray"))


def test_a_fit_refuses_a_node_that_does_not_see_the_cache(fit_request: CompareRequest, cluster: TestCluster) -> None:
    cache = fit_request.cache
    assert isinstance(cache, Path)
    with cluster.blind_node("blind", cache):
        wait_for_node("blind")
        with pytest.raises(NodeError, match=r"^node 'blind' \([\d.]+\) has a folder of its own at '.*cache'"):
            fit_classifier(replace(fit_request, runner="ray"))


def test_each_call_gets_the_cores_that_there_are_but_no_more_than_a_node_has() -> None:
    nodes = [Node("1", "'one'", 8, 0), Node("2", "'two'", 16, 0), Node("3", "'head'", 0, 0)]
    assert choose_threads(nodes, 24) == 1
    assert choose_threads(nodes, 6) == 4
    assert choose_threads(nodes, 1) == 8
