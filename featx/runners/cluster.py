"""Extraction on a Ray cluster: workers on its nodes pull items of some thousand paths, and write parts where they are.

The driver lists the data set, asks the store once what it lacks, and hands out items; pixels and features never pass
through it. A worker that ends, and with it at most the item that it had, is replaced: parts are named for what they
hold, so an item that is computed twice is stored once.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import featx
from featx.bases.architecture import Architecture
from featx.bases.loading import load_base
from featx.data.digest_cache import KnownDigests, load_digests, save_digests
from featx.data.listing import FailedImage, ImageFile, Listing
from featx.errors import RequestError
from featx.images.range_report import RangeReport
from featx.keys import FeatureKey
from featx.log import note
from featx.processes.cluster import Cluster, Node, Share, open_cluster
from featx.processes.machine import Machine
from featx.processes.node_check import SAMPLED, FarFile, NodeCheck, check_nodes, unfinished_file
from featx.processes.workers import log_record
from featx.requests import ExtractRequest
from featx.runners.cluster_worker import Task
from featx.runners.crew import Crew
from featx.runners.local import describe_base, list_feature_keys, remember_digest
from featx.runners.shard import Shard
from featx.runners.summary import ExtractSummary
from featx.runners.tally import RowOutcome
from featx.runners.work_items import ItemReport, WorkItem, WorkQueue, choose_item_rows
from featx.storage.interface import storage_of
from featx.storage.paths import side_folder
from featx.store.store import FeatureStore
from featx.store.writer import rows_per_part
from featx.types import Progress

log = logging.getLogger(__name__)

SAVE_SECONDS = 60.0
"""How often digests are remembered, at most: a driver that is killed has them read again from then on."""

SAVE_SHARE = 0.02
"""Part of the time that this may take."""

PLACE_URL = re.compile(r"[a-z0-9]+:/+[^/]+")
"""A URL up to the end of the bucket's name."""


def run_on_cluster(
    request: ExtractRequest, architecture: Architecture, listing: Listing, progress: Progress | None = None
) -> ExtractSummary:
    """Compute and store features on the nodes of a Ray cluster; parameters as for `run_here`.

    Raises
    ------
    ClusterError
        If there is no cluster, or it has no room for a worker.
    NodeError
        If a node does not see the cache or the images, or cannot read a bucket in which they lie.
    FeatxError
        As `run_here` does.
    """
    base = load_base(architecture)
    keys = list_feature_keys(base, request)
    store = FeatureStore(request.cache)
    stored_base = describe_base(base, architecture)
    store.describe(stored_base)
    known = load_digests(side_folder(request.cache), listing, request.rehash)
    ledger = Ledger(listing, known)
    rows = find_rows(ledger, store, keys, request)
    if len(rows):
        with open_cluster() as cluster:
            extract_rows(cluster, ledger, rows, keys, request, progress)
    # Again: somebody may have removed the folder meanwhile.
    store.describe(stored_base)
    summary = ledger.summarise()
    return replace(
        summary,
        skipped=list(listing.skipped),
        notes=list(listing.notes),
        layers=[key.layer for key in keys if not key.view],
        device=summary.device or request.device,
    )


@dataclass
class Ledger:
    """What is known of each row, and what became of it.

    Attributes
    ----------
    listing : Listing
    known : KnownDigests
        Completed on the way.
    counts : Counter of RowOutcome
    extracted : (n,) bool
        Rows whose features were computed.
    """

    listing: Listing
    known: KnownDigests
    counts: Counter[RowOutcome] = field(default_factory=Counter)
    failed: list[FailedImage] = field(default_factory=list)
    pictures: RangeReport = field(default_factory=RangeReport)
    large_jpegs: int = 0
    seconds: Counter[str] = field(default_factory=Counter)
    engine: str = ""
    device: str = ""
    handed_out_again: int = 0

    def __post_init__(self) -> None:
        self.extracted: NDArray[np.bool_] = np.zeros(len(self.listing), bool)

    def enter(self, item: WorkItem, report: ItemReport) -> None:
        """Take over what became of the rows of an item."""
        for message in report.messages:
            log_record(message)
        for place in np.flatnonzero(report.known):
            row = int(item.rows[place])
            if remember_digest(self.known, row, report.digests[place].tobytes()):
                path = self.listing.paths[row]
                log.warning("'%s' changed since it was last read: its new contents are used", path)
        self.extracted[item.rows[report.extracted]] = True
        self.counts.update(report.counts)
        self.failed += report.failed
        self.pictures.merge(report.pictures)
        self.large_jpegs += report.large_jpegs
        self.seconds.update(report.seconds)
        self.engine = report.engine or self.engine

    def summarise(self) -> ExtractSummary:
        """Give the figures; a picture that lies in several items counts once."""
        computed = self.known.digests[self.extracted]
        distinct = len(np.unique(np.ascontiguousarray(computed).view("V32"))) if len(computed) else 0
        repeated = len(computed) - distinct
        order = {path: row for row, path in enumerate(self.listing.paths)} if self.failed else {}
        return ExtractSummary(
            images=len(self.listing) - self.counts[RowOutcome.OTHER_SHARD],
            extracted=distinct,
            cached=self.counts[RowOutcome.CACHED],
            duplicates=self.counts[RowOutcome.DUPLICATE] + repeated,
            failed=sorted(self.failed, key=lambda image: order[image.path]),
            device=self.device,
            engine=self.engine,
            time={step: round(seconds, 3) for step, seconds in self.seconds.items()},
            pictures=self.pictures,
            large_jpegs=self.large_jpegs,
            handed_out_again=self.handed_out_again,
        )


class DigestSaver:
    """Remembers digests on the way, so that a driver that is killed has lost few of them."""

    def __init__(self, request: ExtractRequest, ledger: Ledger) -> None:
        self.cache = side_folder(request.cache)
        self.ledger = ledger
        self.due = time.monotonic() + SAVE_SECONDS

    def save_sometimes(self) -> None:
        """Save, unless that was done just now."""
        if time.monotonic() < self.due:
            return
        took = self.save()
        self.due = time.monotonic() + max(SAVE_SECONDS, took / SAVE_SHARE)

    def save(self) -> float:
        """Save what is known; give the seconds that it took."""
        started = time.monotonic()
        save_digests(self.cache, self.ledger.listing, self.ledger.known)
        return time.monotonic() - started


def find_rows(
    ledger: Ledger, store: FeatureStore, keys: Sequence[FeatureKey], request: ExtractRequest
) -> NDArray[np.intp]:
    """Find the rows that have to be read, and count the others; one key after the other, for the sake of memory."""
    known = ledger.known
    shard = Shard(*request.shard) if request.shard else Shard()
    is_ours = shard.select(ledger.listing)
    known_rows = np.flatnonzero(is_ours & known.known)
    digests = known.digests[known_rows]
    is_missing = np.zeros(len(known_rows), bool)
    for key in keys:
        is_missing[~is_missing] = store.missing(key, digests[~is_missing])
    ledger.counts[RowOutcome.CACHED] += int((~is_missing).sum())
    ledger.counts[RowOutcome.OTHER_SHARD] += int((~is_ours).sum())
    must_be_read = is_ours & ~known.known
    must_be_read[known_rows] = is_missing
    return np.flatnonzero(must_be_read)


def extract_rows(
    cluster: Cluster,
    ledger: Ledger,
    rows: NDArray[np.intp],
    keys: Sequence[FeatureKey],
    request: ExtractRequest,
    progress: Progress | None,
) -> None:
    """Have rows computed by workers of the cluster, and enter what becomes of them in the ledger.

    What is computed before an error or an interruption is committed all the same.
    """
    share = choose_share(cluster.list_nodes(), request)
    images = len(ledger.listing)
    with unfinished_file(request.cache) as token:
        sample = sample_images(ledger.listing, rows)
        far_images = find_far_images(ledger.listing, rows)
        check = NodeCheck(featx.__version__, str(Path.cwd()), request.cache, token, sample, far_images)
        machines = check_nodes(cluster, check)
        workers = request.workers or count_workers(cluster.list_nodes(), share, machines)
        item_rows = choose_item_rows(len(rows), workers, rows_per_part(images, *storage_of(request.cache).part_rows))
        queue = WorkQueue(ledger.listing, rows, item_rows)
        device = request.device if request.device != "auto" or share.gpus else "cpu"
        told = replace(request, workers=max(1, math.floor(share.cpus)), device=device)
        level = logging.getLogger("featx").getEffectiveLevel()
        crew = Crew(cluster, Task(told, keys, images, check, level), share, queue)
        saver = DigestSaver(request, ledger)
        done = 0
        shown = 0
        try:
            crew.hire(min(workers, queue.unfinished))
            with closing(crew.reports()) as reports:
                for report in reports:
                    if report is not None:
                        ledger.enter(*report)
                        done += len(report[0])
                        saver.save_sometimes()
                    # What a worker had done of an item is undone when it ends.
                    shown = max(shown, min(done + crew.count_rows(), len(rows)))
                    if progress:
                        progress(shown, len(rows))
        except BaseException:
            for item, partial in crew.stop():
                ledger.enter(item, partial)
            raise
        finally:
            crew.end()
            saver.save()
    ledger.handed_out_again = queue.repeated
    ledger.device = describe_devices(crew.devices)
    if queue.repeated:
        note(log, f"{queue.repeated} images were handed out again, since their workers ended; nothing is lost")


def choose_share(nodes: Sequence[Node], request: ExtractRequest) -> Share:
    """Choose what a worker gets: a GPU and its part of the cores where there are GPUs, else one core.

    Raises
    ------
    RequestError
        If no node has so much.
    """
    gpus = request.gpus_per_worker
    if gpus is None:
        wants_gpu = request.device == "cuda" or (request.device == "auto" and any(node.gpus >= 1 for node in nodes))
        gpus = 1.0 if wants_gpu else 0.0
    cpus = request.cpus_per_worker
    if cpus is None:
        cpus = 1
        if gpus:
            cpus = min((int(node.cpus * gpus // node.gpus) for node in nodes if node.gpus >= gpus), default=1)
    share = Share(max(1, cpus), gpus)
    if not count_room(nodes, share):
        most = "; ".join(f"{node.name}: {node.cpus:.0f} cores, {node.gpus:g} GPUs" for node in nodes[:4])
        wanted = f"{share.cpus:g} cores and {share.gpus:g} GPUs" if share.gpus else f"{share.cpus:g} cores"
        raise RequestError(
            f"no node of the cluster has {wanted} for a worker ({most}): choose --cpus-per-worker and --gpus-per-worker"
        )
    return share


def count_workers(nodes: Sequence[Node], share: Share, machines: Mapping[str, Machine]) -> int:
    """Count the workers that are started: as many as have room, but no more than cores that are really there.

    Ray promises what it is told, or the cores of a machine of which a job has a part; and several nodes may lie on one.

    Parameters
    ----------
    nodes : sequence of Node
    share : Share
    machines : mapping of str to Machine
        By the ids of nodes; one that joined meanwhile is not among them.
    """
    room = count_room(nodes, share)
    if share.gpus:
        return room
    by_machine: dict[str, list[Node]] = {}
    for node in nodes:
        place = machines[node.id].id if node.id in machines else node.id
        by_machine.setdefault(place, []).append(node)
    workers = 0
    for there in by_machine.values():
        # Nodes may each have cores of their own.
        cores = {core for node in there if node.id in machines for core in machines[node.id].cores}
        fits = count_room(there, share)
        workers += min(fits, max(1, int(len(cores) // share.cpus))) if cores else fits
    if workers < room:
        note(
            log,
            f"Ray has room for {room} workers on machines with cores for {workers}: {workers} are started (--workers N "
            "starts N)",
        )
    return workers


def count_room(nodes: Sequence[Node], share: Share) -> int:
    """Count the workers for which the nodes have room, if nobody else uses them."""
    room = 0
    for node in nodes:
        fits = int(node.cpus // share.cpus)
        if share.gpus:
            fits = min(fits, int(node.gpus / share.gpus))
        room += fits
    return room


def sample_images(listing: Listing, rows: NDArray[np.intp]) -> list[tuple[str, ImageFile, int]]:
    """Take some of the images that lie on disk, from all over the rows, with the bytes that each has."""
    if not listing.files.are_shareable:
        return []
    places = np.unique(np.linspace(0, len(rows) - 1, SAMPLED).astype(int))
    sample: list[tuple[str, ImageFile, int]] = []
    for row in rows[places]:
        path = listing.paths[row]
        file = listing.files.find(path)
        sample.append((path, file, file.find_size()))
    return sample


def find_far_images(listing: Listing, rows: NDArray[np.intp]) -> list[tuple[str, FarFile]]:
    """Find the first image in each bucket, with the bucket's URL as a row writes it."""
    found: dict[str, FarFile] = {}
    if not (listing.files.are_far and listing.files.are_shareable):
        return []
    for row in rows:
        path = listing.paths[row]
        url = PLACE_URL.match(path)
        if url is None or url[0] in found:
            continue
        file = listing.files.find(path)
        # Another row may name an object that is there.
        if isinstance(file, FarFile):
            found[url[0]] = file
    return list(found.items())


def describe_devices(devices: Sequence[str]) -> str:
    """Say how many workers had which kind of device: "2 x cpu"."""
    counts = Counter(device.split(":")[0] for device in devices)
    return ", ".join(f"{count} x {device}" for device, count in sorted(counts.items()))
