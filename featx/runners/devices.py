"""Extraction on several devices of one machine: a process for each device, with its shard of the images.

Shards are those of `--shard`: disjoint, by path. So whatever stops one of the processes, what any of them has
committed is kept, and the same command goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from featx.bases.architecture import Architecture
from featx.bases.base import find_layer
from featx.bases.registry import resolve
from featx.data.exclusion import leave_out
from featx.data.listing import Listing
from featx.data.sources import ColumnChoice, list_images
from featx.engines.device import parse_devices
from featx.processes.machine import count_cores
from featx.processes.worker import DONE, FAILED, REPORT, report
from featx.processes.workers import ENDED, Workers
from featx.requests import ExtractRequest
from featx.runners.local import run_here
from featx.runners.shard import Shard
from featx.runners.summary import ExtractSummary, merge_summaries
from featx.storage.paths import side_folder
from featx.types import Progress


def run_on_devices(
    request: ExtractRequest, architecture: Architecture, listing: Listing, progress: Progress | None = None
) -> ExtractSummary:
    """Compute and store features on every device that the request names; parameters as for `run_here`.

    Each process resolves and loads the base for itself: networks and what builds them cannot be sent to a process.

    Raises
    ------
    FeatxError
        If a device is not there, or as `run_here` does.
    """
    devices = parse_devices(request.device)
    # A wrong name is refused here, before processes start and each of them reports it.
    layers = architecture.layers()
    for name in request.layers:
        find_layer(architecture.name, layers, name)
    requests = divide_request(request, devices)
    with Workers(len(requests)) as workers:
        for number, shard_request in enumerate(requests):
            workers.call(number, run_shard, shard_request)
        try:
            return merge_summaries(collect_summaries(workers, progress))
        except BaseException:
            # Each process commits what it has computed, and ends.
            workers.stop()
            workers.wait_for_ends()
            raise


def divide_request(request: ExtractRequest, devices: Sequence[str]) -> list[ExtractRequest]:
    """Divide a request, which may be for a shard itself, into one for each device, and the cores among them."""
    shard = Shard(*request.shard) if request.shard else Shard()
    workers = request.workers or max(1, count_cores() // len(devices))
    requests = []
    for device, part in zip(devices, shard.divide(len(devices)), strict=True):
        requests.append(replace(request, device=device, workers=workers, shard=(part.index, part.count)))
    return requests


def run_shard(request: ExtractRequest) -> ExtractSummary:
    """Extract one shard, in a process of its own."""

    def report_progress(done: int, total: int) -> None:
        report((done, total))

    # What was taken of DATA, and what is odd about it, the process that began this one has said.
    logging.getLogger("featx.data").setLevel(logging.ERROR)
    columns = ColumnChoice(request.path_column, request.label_column)
    listing = leave_out(list_images(request.data, side_folder(request.cache), request.strict, columns), request.exclude)
    return run_here(request, resolve(request.base), listing, report_progress)


def collect_summaries(workers: Workers, progress: Progress | None) -> list[ExtractSummary]:
    """Collect what the processes return, and add up the progress that they report meanwhile.

    Raises
    ------
    WorkerEnded
        If the system ended one of them.
    FeatxError
        What stopped the first of them, once all are done.
    """
    summaries: dict[int, ExtractSummary] = {}
    failures: dict[int, BaseException] = {}
    latest: dict[int, tuple[int, int]] = {}
    while len(summaries) + len(failures) < len(workers):
        reply = workers.wait()
        if reply.kind == ENDED and reply.worker not in (*summaries, *failures):
            raise workers.explain_end("with a smaller --batch-size or fewer --workers")
        if reply.kind == REPORT:
            latest[reply.worker] = reply.value
            if progress:
                progress(sum(done for done, _ in latest.values()), sum(rows for _, rows in latest.values()))
        elif reply.kind == FAILED:
            failures[reply.worker] = reply.value
        elif reply.kind == DONE:
            summaries[reply.worker] = reply.value
    if failures:
        raise failures[min(failures)]
    return [summaries[number] for number in sorted(summaries)]
