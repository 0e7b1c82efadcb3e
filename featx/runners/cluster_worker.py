"""What runs on the nodes of a cluster: an actor that takes work items, with base, engine and writers of its own."""

from __future__ import annotations

import platform
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from featx.bases.architectures.fast_torchvision import import_without_compiler
from featx.keys import FeatureKey
from featx.processes.log_collector import LogCollector
from featx.processes.node_check import NodeCheck, NodeError
from featx.requests import ExtractRequest
from featx.runners.work_items import ItemReport, Stopped, WorkItem


@dataclass(frozen=True)
class Task:
    """What all workers of an extraction are told.

    Attributes
    ----------
    request : ExtractRequest
        Its `workers` are the threads of each worker, its `device` is the one that each of them has.
    keys : sequence of FeatureKey
        What the driver's base gives: other weights under the same name would give others.
    images : int
        Rows of the whole data set.
    check : NodeCheck
        What a node must see.
    log_level : int
        Least level of the records that the driver shows.
    """

    request: ExtractRequest
    keys: Sequence[FeatureKey]
    images: int
    check: NodeCheck
    log_level: int


class ClusterWorker:
    """An actor of the cluster; one thread calls `open` and then `extract`, another one `count_rows` and `stop`.

    Ray imports this module before anything of ours runs, so it must not import torchvision.

    Parameters
    ----------
    task : Task
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.stopped = threading.Event()
        self.item_number = -1
        self.rows_done = 0
        self.log = LogCollector()

    def open(self) -> str:
        """Check the node, and load the base; give the device.

        Raises
        ------
        NodeError
            If the node lacks something.
        FeatxError
            As `run_here` does, before anything is computed.
        """
        self.log.begin(self.task.log_level)
        if problems := self.task.check.list_problems():
            raise NodeError(f"node '{platform.node()}' {' and '.join(problems)}")
        import_without_compiler()
        from featx.runners.item_extractor import ItemExtractor

        self.extractor = ItemExtractor(self.task.request, self.task.keys, self.task.images, self.log)
        return self.extractor.device

    def extract(self, item: WorkItem) -> ItemReport:
        """Compute the rows of an item, and commit them; or those until `stop` is called.

        Raises
        ------
        FeatxError
            As `run_here` does.
        """
        self.rows_done = 0
        self.item_number = item.number
        return self.extractor.extract(item, self.note_progress)

    def note_progress(self, done: int, total: int) -> None:
        """Note how far the item is.

        Raises
        ------
        Stopped
            If the driver wants no more.
        """
        self.rows_done = done
        if self.stopped.is_set():
            raise Stopped

    def count_rows(self, item_number: int) -> int:
        """Count the rows of an item that are done; called while `extract` runs, or before it has begun."""
        return self.rows_done if item_number == self.item_number else 0

    def stop(self) -> None:
        """Let `extract` commit what it has computed, and return."""
        self.stopped.set()
