"""Extraction on several devices of one machine: a process for each device, with its shard of the images.

Shards are those of `--shard`: disjoint, by digest. So whatever stops one of the processes, what any of them has
committed is kept, and the same command goes on from there.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import active_children, get_context
from multiprocessing.queues import SimpleQueue
from types import FrameType
from typing import NoReturn

from featx.bases.architecture import Architecture
from featx.bases.base import find_layer
from featx.bases.registry import resolve
from featx.data.digest_cache import digest_all
from featx.data.listing import Listing
from featx.data.sources import ColumnChoice, list_images
from featx.engines.device import parse_devices
from featx.engines.threads import count_cores
from featx.errors import RequestError
from featx.requests import ExtractRequest
from featx.runners.local import run_here
from featx.runners.shard import Shard
from featx.runners.summary import ExtractSummary, merge_summaries
from featx.types import Progress

ShardProgress = tuple[int, int, int]
"""Number of the process, rows done, rows to be done."""

progress_queue: SimpleQueue[ShardProgress]
"""Queue on which a worker process reports progress; set when it starts, since only then can a queue be inherited."""

POLL_SECONDS = 0.1
"""How often the processes' progress is passed on: as often as a progress bar is redrawn."""


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
    # Hashed here once, or each process would read every file to find those of its shard.
    digest_all(request.cache, listing, request.rehash, request.workers, progress)
    requests = divide_request(replace(request, rehash=False), devices)
    context = get_context("spawn")  # a forked process cannot use CUDA
    queue: SimpleQueue[ShardProgress] = context.SimpleQueue()
    with ProcessPoolExecutor(len(requests), context, set_progress_queue, (queue,)) as pool:
        futures = []
        for number, shard_request in enumerate(requests):
            futures.append(pool.submit(run_shard, number, shard_request))
        try:
            pass_on_progress(futures, queue, progress)
            return merge_summaries(collect_summaries(futures))
        except KeyboardInterrupt:
            # The pool waits for its processes: each commits what it has computed, and ends.
            for process in active_children():
                process.terminate()
            raise


def divide_request(request: ExtractRequest, devices: Sequence[str]) -> list[ExtractRequest]:
    """Divide a request, which may be for a shard itself, into one for each device, and the cores among them."""
    shard = Shard(*request.shard) if request.shard else Shard()
    workers = request.workers or max(1, count_cores() // len(devices))
    requests = []
    for device, part in zip(devices, shard.divide(len(devices)), strict=True):
        requests.append(replace(request, device=device, workers=workers, shard=(part.index, part.count)))
    return requests


def set_progress_queue(queue: SimpleQueue[ShardProgress]) -> None:
    """Give a new process the queue on which it reports progress."""
    global progress_queue
    progress_queue = queue
    # A terminal sends Ctrl-C to all processes; the one that started this one passes it on, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def stop_once(number: int, frame: FrameType | None) -> NoReturn:
    """Stop a shard as Ctrl-C would, so that what it has computed is committed; further signals are ignored."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def run_shard(number: int, request: ExtractRequest) -> ExtractSummary:
    """Extract one shard, in a process of its own."""
    signal.signal(signal.SIGTERM, stop_once)

    def report(done: int, total: int) -> None:
        progress_queue.put((number, done, total))

    # What was taken of DATA, and what is odd about it, the process that began this one has said.
    logging.getLogger("featx.data").setLevel(logging.ERROR)
    columns = ColumnChoice(request.path_column, request.label_column)
    listing = list_images(request.data, request.cache, request.strict, columns)
    return run_here(request, resolve(request.base), listing, report)


def pass_on_progress(
    futures: Sequence[Future[ExtractSummary]], queue: SimpleQueue[ShardProgress], progress: Progress | None
) -> None:
    """Add up the progress that the processes report, until all have ended."""
    latest: dict[int, tuple[int, int]] = {}
    is_running = True
    while is_running:
        is_running = bool(wait(futures, POLL_SECONDS).not_done)
        # Emptied also after the last process has ended, and also without `progress`: a full queue would block them.
        while not queue.empty():
            number, done, total = queue.get()
            latest[number] = (done, total)
        if progress and latest:
            all_done = sum(done for done, _ in latest.values())
            all_rows = sum(total for _, total in latest.values())
            progress(all_done, all_rows)


def collect_summaries(futures: Sequence[Future[ExtractSummary]]) -> list[ExtractSummary]:
    """Collect what the processes return, or raise what stopped the first of them.

    Raises
    ------
    RequestError
        If the system ended one of them.
    """
    try:
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        raise RequestError(
            "the system ended one of the processes, perhaps for lack of memory. What was committed is kept: "
            "run the same command again, with a smaller --batch-size or fewer --workers"
        ) from error
