"""A comparison whose layer sets are evaluated on two nodes of a Ray cluster gives the numbers of one machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from featx.base_choice import BaseChoice
from featx.evaluation.table_row import TableRow
from featx.processes.cluster import Node
from featx.processes.cluster_calls import choose_threads
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.compare import compare_rows
from featx.workflows.extract import extract_features
from tests.conftest import make_doubtful
from tests.runners.clusters import TestCluster, started

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


def without_seconds(rows: list[TableRow]) -> list[dict[str, Any]]:
    values = [row.to_dict() for row in rows]
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in values]


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


def test_each_call_gets_the_cores_that_there_are_but_no_more_than_a_node_has() -> None:
    nodes = [Node("1", "'one'", 8, 0), Node("2", "'two'", 16, 0), Node("3", "'head'", 0, 0)]
    assert choose_threads(nodes, 24) == 1
    assert choose_threads(nodes, 6) == 4
    assert choose_threads(nodes, 1) == 8
