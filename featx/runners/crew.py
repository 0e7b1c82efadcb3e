"""The workers of an extraction on a cluster: starts them, hands items out, and replaces those that end."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from featx.errors import FeatxError
from featx.log import note
from featx.processes.cluster import Cluster, ClusterError, Share
from featx.processes.node_check import NodeError
from featx.processes.workers import WorkerEnded
from featx.runners.cluster_worker import ClusterWorker, Task
from featx.runners.work_items import ItemReport, WorkItem, WorkQueue

log = logging.getLogger(__name__)

WAKE_SECONDS = 1.0
"""How often progress is asked for."""

PATIENCE_SECONDS = 30.0
"""Until it is said that the cluster has no room."""

STOP_SECONDS = 60.0
"""Until workers that were told to stop have committed what they have computed."""

MOST_STARTS = 3
"""Workers in a row that may end before they are ready: then starting more is of no use."""


@dataclass
class Member:
    """A worker, and what it does.

    Attributes
    ----------
    actor : any
        Ray's handle.
    call : any
        What it was last asked to do: to open, or to extract an item.
    item : WorkItem or None
        None until it is ready, and between items.
    device : str
        Empty until it is ready.
    rows_done : int
        Of the item at hand, as far as is known.
    question : any
        How many these are, asked and not yet answered.
    """

    actor: Any
    call: Any
    item: WorkItem | None = None
    device: str = ""
    rows_done: int = 0
    question: Any = None


@dataclass
class Crew:
    """Workers that share the items of a queue.

    Attributes
    ----------
    cluster : Cluster
    task : Task
    share : Share
        What each worker gets of a node.
    queue : WorkQueue
    members : list of Member
    devices : list of str
        Of the workers that were ready at any time.
    """

    cluster: Cluster
    task: Task
    share: Share
    queue: WorkQueue
    members: list[Member] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    failed_starts: int = 0
    started: float = field(default_factory=time.monotonic)
    has_complained: bool = False

    def hire(self, workers: int) -> None:
        """Start workers; those for which there is no room begin when there is."""
        task = self.cluster.keep(self.task)
        for _ in range(workers):
            actor = self.cluster.start(ClusterWorker, self.share, task)
            self.members.append(Member(actor, actor.open.remote()))

    def reports(self) -> Generator[tuple[WorkItem, ItemReport] | None, None, None]:
        """Have all items computed; yield each with its report, and None when progress may be looked at.

        Raises
        ------
        FeatxError
            What stopped a worker, if another one would be stopped as well; or if no worker is left.
        """
        while self.queue.unfinished:
            busy = {member.call: member for member in self.members if member.call is not None}
            done = self.cluster.wait(list(busy), WAKE_SECONDS)
            for call in done:
                report = self.take(busy[call])
                if report is not None:
                    yield report
            self.ask()
            self.complain()
            yield None

    def take(self, member: Member) -> tuple[WorkItem, ItemReport] | None:
        """Take what a worker has done, and give it the next item."""
        try:
            result = self.cluster.result(member.call)
        except WorkerEnded as end:
            self.replace(member, str(end))
            return None
        except NodeError as error:
            self.dismiss(member, error)
            return None
        item = member.item
        if item is None:
            member.device = result
            self.devices.append(result)
            self.failed_starts = 0
        else:
            self.queue.finish()
        self.occupy(member)
        return None if item is None else (item, result)

    def occupy(self, member: Member) -> None:
        """Give a worker the next item, or nothing where none waits."""
        member.rows_done = 0
        # What was asked before is of the last item.
        member.question = None
        member.item = None
        member.call = None
        if self.queue.waiting:
            member.item = self.queue.take()
            member.call = member.actor.extract.remote(member.item)

    def replace(self, member: Member, reason: str) -> None:
        """Start a worker in the place of one that ended, and hand out its item again.

        Raises
        ------
        ClusterError
            If workers end before they are ready, one after the other.
        ItemEndsWorkers
            If they end on one item.
        """
        self.members.remove(member)
        self.cluster.end(member.actor)
        if member.item is None:
            self.failed_starts += 1
            if self.failed_starts >= MOST_STARTS:
                raise ClusterError(f"workers end before they are ready; the last one: {reason}")
        else:
            log.warning("a worker ended (%s): its %d images are handed out again", reason, len(member.item))
            self.queue.put_back(member.item, reason)
            self.wake()
        self.hire(1)

    def wake(self) -> None:
        """Give items that wait to workers that have nothing to do."""
        for member in self.members:
            if member.call is None and self.queue.waiting:
                self.occupy(member)

    def dismiss(self, member: Member, error: NodeError) -> None:
        """Do without a worker whose node lacks something.

        Raises
        ------
        NodeError
            If no other is left.
        """
        self.members.remove(member)
        self.cluster.end(member.actor)
        if not self.members:
            raise error
        log.warning("%s: it is left out", error)

    def ask(self) -> None:
        """Ask workers how far they are, and take the answers to earlier questions; nobody is waited for."""
        asked = {member.question: member for member in self.members if member.question is not None}
        for question in self.cluster.wait(list(asked), 0) if asked else ():
            member = asked[question]
            member.question = None
            with suppress(FeatxError):
                member.rows_done = self.cluster.result(question)
        for member in self.members:
            if member.item is not None and member.question is None:
                # By number, or it might still count those of the item before.
                member.question = member.actor.count_rows.remote(member.item.number)

    def complain(self) -> None:
        """Say once that there is no room for any worker, if there has not been for a while."""
        if self.devices or self.has_complained or time.monotonic() - self.started < PATIENCE_SECONDS:
            return
        self.has_complained = True
        note(log, "Ray: the cluster has no room yet; this waits until other work has ended")

    def count_rows(self) -> int:
        """Count the rows of items at hand that are done, as far as is known."""
        return sum(member.rows_done for member in self.members)

    def stop(self) -> Iterator[tuple[WorkItem, ItemReport]]:
        """Let workers commit what they have computed; yield what becomes of their items."""
        for member in self.members:
            if member.item is not None:
                member.actor.stop.remote()
        busy = {member.call: member for member in self.members if member.item is not None}
        deadline = time.monotonic() + STOP_SECONDS
        while busy and time.monotonic() < deadline:
            for call in self.cluster.wait(list(busy), WAKE_SECONDS):
                member = busy.pop(call)
                # What ended or failed by now has no report.
                with suppress(Exception):
                    assert member.item is not None
                    yield member.item, self.cluster.result(call)

    def end(self) -> None:
        """End all workers."""
        for member in self.members:
            self.cluster.end(member.actor)
