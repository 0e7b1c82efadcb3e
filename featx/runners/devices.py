"""Stage one on several devices of one machine: a process a device, each with its share of the images.

Shares are those of `--shard`: disjoint, by digest. So whatever stops one of the processes, what any of them committed
is kept, and the same command goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue

from featx.data.digest_cache import digest_all
from featx.data.sources import list_images
from featx.engines.device import choose_device, list_devices
from featx.engines.threads import cores
from featx.errors import RequestError
from featx.requests import ExtractRequest
from featx.runners.local import ExtractSummary, extract
from featx.types import Progress

Told = tuple[int, int, int]
"""Share, rows done, rows to be done."""

queue: SimpleQueue[Told]
"""Where a process of ours tells what it has done; set when it starts."""

EVERY = 0.1
"""Seconds between two looks at what the processes have done."""


def extract_on_devices(request: ExtractRequest, progress: Progress | None = None) -> ExtractSummary:
    """Compute and store features, on every device that the request names; see `featx.runners.local.extract`.

    Parameters
    ----------
    request : ExtractRequest
        Its `device` may be several with commas between them, or "all" for every GPU.
    progress : callable, optional

    Raises
    ------
    FeatxError
        If a device is not there, or as `extract` does.
    """
    devices = devices_of(request.device)
    if len(devices) == 1:
        return extract(replace(request, device=devices[0]), progress)
    started = time.perf_counter()
    # Or each process would read every file to find its own.
    digest_all(request.cache, list_images(request.data), request.rehash, request.workers, progress)
    requests = share_out(replace(request, rehash=False), devices)
    context = get_context("spawn")  # a forked process cannot use CUDA
    told: SimpleQueue[Told] = context.SimpleQueue()
    with ProcessPoolExecutor(len(requests), context, set_up, (told,)) as pool:
        futures = [pool.submit(extract_share, place, one) for place, one in enumerate(requests)]
        watch(futures, told, progress)
        summaries = results(futures)
    return join(summaries, round(time.perf_counter() - started, 3))


def devices_of(asked: str) -> list[str]:
    """Turn `--device` into the names of devices.

    Raises
    ------
    RequestError
        If "all" is asked for where there is no GPU.
    """
    if asked != "all":
        return [str(choose_device(name.strip())) if "," in asked else name for name in asked.split(",")]
    found = [name for name in list_devices() if name.startswith("cuda:")]
    if not found:
        raise RequestError("device 'all' means every GPU, and this machine has none: leave out --device")
    return found


def share_out(request: ExtractRequest, devices: Sequence[str]) -> list[ExtractRequest]:
    """Split a request, which may be for a share itself, into disjoint ones, with the cores divided among them."""
    share, shares = request.shard or (1, 1)
    workers = request.workers or max(1, cores() // len(devices))
    return [
        replace(request, device=device, workers=workers, shard=(share + shares * place, shares * len(devices)))
        for place, device in enumerate(devices)
    ]


def set_up(told: SimpleQueue[Told]) -> None:
    """Give a new process the queue on which it tells what it has done."""
    global queue
    queue = told


def extract_share(place: int, request: ExtractRequest) -> ExtractSummary:
    """Extract one share, in a process of its own."""
    return extract(request, lambda done, total: queue.put((place, done, total)))


def watch(futures: Sequence[Future[ExtractSummary]], told: SimpleQueue[Told], progress: Progress | None) -> None:
    """Pass on what the processes tell, until all have ended."""
    latest: dict[int, tuple[int, int]] = {}
    running = True
    while running:
        running = bool(wait(futures, EVERY).not_done)
        while not told.empty():
            place, done, total = told.get()
            latest[place] = done, total
        if progress and latest:
            progress(*map(sum, zip(*latest.values(), strict=True)))


def results(futures: Sequence[Future[ExtractSummary]]) -> list[ExtractSummary]:
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


def join(summaries: Sequence[ExtractSummary], seconds: float) -> ExtractSummary:
    """Add up what the shares did; a file that cannot be read belongs to no share, and every process names it."""
    first = summaries[0]
    failed = sorted({failure for one in summaries for failure in one.failed}, key=lambda failure: failure.path)
    counts = {name: sum(getattr(one, name) for one in summaries) for name in ("extracted", "cached", "duplicates")}
    return replace(
        first,
        **counts,
        images=sum(counts.values()) + len(failed),
        failed=failed,
        seconds=seconds,
        device=", ".join(one.device for one in summaries),
        engine=next((one.engine for one in summaries if one.engine), ""),
        time={step: sum(one.time.get(step, 0.0) for one in summaries) for one in summaries for step in one.time},
    )
