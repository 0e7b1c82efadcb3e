"""A worker of a cluster, called in this process: how far its item is, and what is kept of one that is stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx import __version__
from featx.base_choice import BaseChoice
from featx.bases.loading import open_base
from featx.data.sources import list_images
from featx.data.sources.image_files import DiskFiles
from featx.processes.node_check import NodeCheck
from featx.requests import ExtractRequest
from featx.runners.cluster_worker import ClusterWorker, Task
from featx.runners.local import list_feature_keys
from featx.runners.work_items import WorkQueue
from featx.store.store import FeatureStore

ITEM = 24


@pytest.fixture
def request_(photos: Path, cache: Path) -> ExtractRequest:
    return ExtractRequest(str(photos), BaseChoice("tiny", "random"), ("layer1",), cache=cache, workers=1, batch_size=4)


@pytest.fixture
def queue(request_: ExtractRequest) -> WorkQueue:
    listing = list_images(request_.data)
    return WorkQueue(listing, np.arange(len(listing)), ITEM)


@pytest.fixture
def worker(request_: ExtractRequest, queue: WorkQueue, cache: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterWorker:
    keys = list_feature_keys(open_base(request_.base), request_)
    token = "seen"
    cache.mkdir()
    (cache / token).touch()
    check = NodeCheck(__version__, str(Path.cwd()), cache, token, [])
    worker = ClusterWorker(Task(request_, keys, len(queue.rows), check, 30))
    # It would take the log of this process over.
    monkeypatch.setattr(worker.log, "begin", lambda level: None)
    assert worker.open() == "cpu"
    return worker


def test_progress_is_of_the_item_that_is_asked_for(worker: ClusterWorker, queue: WorkQueue) -> None:
    first, second = queue.take(), queue.take()
    assert worker.count_rows(first.number) == 0
    worker.extract(first)
    assert worker.count_rows(first.number) == len(first)
    # The driver may ask before the next item has begun.
    assert worker.count_rows(second.number) == 0
    worker.extract(second)
    assert worker.count_rows(second.number) == len(second)


class FarFiles(DiskFiles):
    """A place far away of which nobody else knows."""

    are_far = True


def test_images_of_any_place_far_away_are_read_side_by_side(worker: ClusterWorker, queue: WorkQueue) -> None:
    assert not worker.extractor.make_listing(queue.take()).files.are_far
    queue.listing = replace(queue.listing, files=FarFiles())
    assert worker.extractor.make_listing(queue.take()).files.are_far


def test_what_was_computed_before_a_stop_is_kept(
    worker: ClusterWorker, queue: WorkQueue, request_: ExtractRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = queue.take()
    note = worker.note_progress

    def stop_after_one(done: int, total: int) -> Any:
        worker.stop()
        note(done, total)

    monkeypatch.setattr(worker, "note_progress", stop_after_one)
    report = worker.extract(item)
    assert 0 < report.extracted.sum() < len(item)
    (key,) = worker.task.keys
    kept = ~FeatureStore(request_.cache).missing(key, report.digests[report.known])
    assert kept.sum() == report.extracted.sum()
