"""Reads, hashes and decodes images in worker threads, and yields them, with their features, in data-set order.

Where arithmetic runs on the same cores as decoding, each thread takes a few images all the way from the file to the
features: no core waits for another, and threads never outnumber cores. Where it runs on a device, threads only decode,
and the next batch is handed over while the one before it is computed. Many threads would wait for Python's lock more
than they decode: there each hands its slices to a process of its own (`remote_loading`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from PIL import Image

from featx.data.listing import Listing
from featx.data.loading_process import LoadingProcesses
from featx.data.reading import fetch_ahead, reading, reading_threads
from featx.data.remote_loading import RemoteLoading, RemotePreparation
from featx.data.rows import Loaded, describe_unreadable, prepare_picture
from featx.data.slices import LARGEST_SLICE, SLICE, ReadAhead, Slices
from featx.images.decode import BrokenImage, decoding
from featx.images.picture_digest import digest_picture
from featx.keys import ValueRange
from featx.timing import Clock
from featx.types import LayerFeatures, Pixels

Start = Callable[[list[Pixels]], Callable[[], LayerFeatures]]
"""Begins to compute features of images, (height, width, 3) uint8 each, and returns the function that waits for them."""

Select = Callable[[bytes, int], bool]
"""Digest and row of an image to whether it is to be decoded; threads call it."""

Prepare = Callable[[Image.Image, bytes], dict[int, Pixels]]
"""Decoded picture and digest to pixels by view; threads call it."""

AHEAD_BYTES = 2**26
"""Pixels that are decoded, at most, before the engine is ready: some 400 images of 224 x 224 pixels."""

LoadTask = Callable[[], list[Loaded]]
"""Loads a slice of rows."""

TaskResult = TypeVar("TaskResult")


@dataclass(frozen=True)
class Batch:
    """Rows in their order, with the features that were computed of them.

    Attributes
    ----------
    loaded : list of Loaded
    members : list of (place in `loaded`, view)
        The image and view that each row of `features` belongs to.
    features : dict of (layer, pooling) to (members, ...) float32
        Empty where nothing had to be computed.
    """

    loaded: list[Loaded]
    members: list[tuple[int, int]]
    features: LayerFeatures


@dataclass(frozen=True)
class Loader:
    """How rows are loaded.

    Attributes
    ----------
    listing : Listing
    select : callable
        Digest and row to whether this image is to be decoded.
    prepare : callable
        Decoded picture and digest to pixels by view.
    workers : int
        Threads; Pillow, the hash and arithmetic release Python's lock while they work.
    clock : Clock
        Counts the seconds of reading and decoding.
    device_batch : int or None
        Images handed to a device at a time; None where arithmetic runs on the cores that decode.
    ahead_bytes : int
        Pixels that are decoded, at most, before the engine is ready.
    value_range : pair of float or None
        Values that mean black and white in pictures of more than 8 bits.
    least_side : int or None
        Pixels that are left at least of the shorter side of a JPEG that is decoded at a part of its size; None decodes
        all as they are.
    processes : RemotePreparation or None
        Where images are loaded for a device in processes beside this one, a process for each thread: what these make
        of a picture, which is what `prepare` makes of it. None where the threads do it.
    """

    listing: Listing
    select: Select
    prepare: Prepare
    workers: int
    clock: Clock
    device_batch: int | None = None
    ahead_bytes: int = AHEAD_BYTES
    value_range: ValueRange | None = None
    least_side: int | None = None
    processes: RemotePreparation | None = None

    def __call__(self, rows: Sequence[int], start: Start, build: Callable[[], object]) -> Iterator[Batch]:
        """Load rows and have their features computed; batches come in order of the rows.

        Parameters
        ----------
        rows : sequence of int
        start : callable
            Begins to compute features.
        build : callable
            Makes all ready that `start` needs; called once, when the first image has to be computed.
        """
        if self.device_batch:
            return self.compute_on_device(rows, start, self.device_batch)
        return self.compute_in_workers(rows, start, build)

    def decoded(self, rows: Sequence[int]) -> Iterator[Loaded]:
        """Load rows in threads and yield them one by one, in order, with their pixels."""
        with reading_threads(self.workers) as pool:
            for loaded in self.in_order(pool, self.list_tasks(rows)):
                yield from loaded

    def load(self, row: int) -> Loaded:
        """Read, hash and, if it is selected, decode one row; never raises for a bad image."""
        with ExitStack() as stack:
            try:
                with self.clock.timed("read"):
                    data = stack.enter_context(reading(self.listing, row))
                    image_digest = digest_picture(data)
            except OSError as error:
                return Loaded(row, None, reason=describe_unreadable(error))
            if not self.select(image_digest, row):
                return Loaded(row, image_digest)
            return self.decode(row, data, image_digest)

    def decode(self, row: int, data: bytes, image_digest: bytes) -> Loaded:
        """Decode and prepare what was read of a row that was selected."""
        try:
            with (
                self.clock.timed("decode"),
                decoding(data, self.value_range, least_side=self.least_side) as decoded,
            ):
                pixels = prepare_picture(decoded.picture, lambda picture: self.prepare(picture, image_digest))
                # Now, while its share of the memory is held.
                decoded.picture.close()
        except BrokenImage as error:
            return Loaded(row, image_digest, reason=str(error))
        views = tuple(pixels)
        use = decoded.range_use
        return Loaded(row, image_digest, views, None, pixels, use, decoded.has_more_pages, decoded.jpeg_side)

    def load_all(self, rows: Sequence[int]) -> list[Loaded]:
        """Load a few rows, in the calling thread; those that lie far away are fetched side by side before."""
        loaded: list[Loaded] = []
        fetched = fetch_ahead(self.listing, rows)
        while True:
            with self.clock.timed("read"):
                some = next(fetched, None)
            if some is None:
                return loaded
            rows_at_hand, listing = some
            loader = self if listing is self.listing else replace(self, listing=listing)
            loaded += [loader.load(row) for row in rows_at_hand]

    def list_tasks(self, rows: Sequence[int]) -> Iterator[LoadTask]:
        """List the tasks that load rows, a slice each."""
        for first in range(0, len(rows), SLICE):
            yield partial(self.load_all, rows[first : first + SLICE])

    def compute_in_workers(self, rows: Sequence[int], start: Start, build: Callable[[], object]) -> Iterator[Batch]:
        """Load and compute in the same threads; while one of them builds the engine, the others read ahead."""
        slices = Slices(rows, self.workers)
        with reading_threads(self.workers) as pool:
            ahead = ReadAhead(pool, self.load_all, slices)
            ahead.fill(self.workers)
            # Until an image has to be computed, no engine is needed: often none is.
            while ahead and not count_pixel_bytes(ahead.first()):
                _, loading = ahead.take_future()
                yield begin_batch(loading.result(), start)()
                ahead.fill(self.workers)
            if not ahead:
                return
            building = pool.submit(build)
            ahead.fill(max(self.workers, self.ahead_bytes // count_pixel_bytes(ahead.first())))
            building.result()
            # Threads have begun some of these slices; the others are better divided anew, into larger ones.
            ahead.give_back_unstarted()
            yield from self.in_order(pool, list_compute_tasks(ahead, slices, self.load_all, start))

    def compute_on_device(self, rows: Sequence[int], start: Start, size: int) -> Iterator[Batch]:
        """Load in threads, and compute in batches of about `size` images, one begun before the last is finished."""
        begun: deque[Callable[[], Batch]] = deque()
        waiting: list[Loaded] = []
        views = 0
        with self.device_tasks(rows, size) as (tasks, most), reading_threads(self.workers) as pool:
            for loaded in self.in_order(pool, tasks, most):
                waiting += loaded
                views += sum(len(image.views) for image in loaded)
                if views < size:
                    continue
                begun.append(begin_batch(waiting, start))
                waiting = []
                views = 0
                if len(begun) > 1:
                    yield begun.popleft()()
            begun.append(begin_batch(waiting, start))
            while begun:
                yield begun.popleft()()

    @contextmanager
    def device_tasks(self, rows: Sequence[int], size: int) -> Iterator[tuple[Iterator[LoadTask], int]]:
        """List the tasks that load rows for a device, and say how many may be begun before they are asked for.

        Beside what is being loaded, two batches of `size` images may wait for the device. Loading processes, where
        there are any, live as long as the context does.
        """
        if self.processes is None:
            yield self.list_tasks(rows), 2 * self.workers + -(-2 * size // SLICE)
            return
        slices = Slices(rows, self.workers)
        with LoadingProcesses(self.workers) as processes:
            remote = RemoteLoading(self, self.processes, processes)
            # One slice a worker, not two: they are four times as large, and those of the two batches wait behind them.
            yield list_timed_tasks(slices, remote.load_all), self.workers + -(-2 * size // LARGEST_SLICE)

    def in_order(
        self, pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], TaskResult]], most: int | None = None
    ) -> Iterator[TaskResult]:
        """Run tasks in threads; results come in order, and only a few tasks are begun before they are asked for.

        Parameters
        ----------
        pool : ThreadPoolExecutor
        tasks : iterable of callable
        most : int, optional
            Tasks that are begun before the first of them is asked for: two a worker by default.
        """
        futures: deque[Future[TaskResult]] = deque()
        for task in tasks:
            futures.append(pool.submit(task))
            if len(futures) >= (most or 2 * self.workers):
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()


def count_pixel_bytes(loaded: Sequence[Loaded]) -> int:
    """Count the bytes of pixels that are to be computed; 0 where nothing is."""
    total = 0
    for image in loaded:
        total += sum(pixels.nbytes for pixels in image.pixels.values())
    return total


def begin_batch(loaded: list[Loaded], start: Start) -> Callable[[], Batch]:
    """Begin to compute what was loaded, and let go of the pixels; the function that is returned waits for the batch."""
    members: list[tuple[int, int]] = []
    pixels: list[Pixels] = []
    for place, image in enumerate(loaded):
        for view in image.views:
            members.append((place, view))
            pixels.append(image.pixels[view])
    without_pixels = [replace(image, pixels={}) for image in loaded]
    if not members:
        return lambda: Batch(without_pixels, members, {})
    wait = start(pixels)
    return lambda: Batch(without_pixels, members, wait())


def list_timed_tasks(slices: Slices, load: Callable[[Sequence[int]], list[Loaded]]) -> Iterator[LoadTask]:
    """List the tasks that load a slice each; how long they take sizes the next ones."""

    def load_slice(rows: Sequence[int]) -> list[Loaded]:
        started = time.perf_counter()
        loaded = load(rows)
        slices.record_time(len(rows), time.perf_counter() - started)
        return loaded

    for rows in slices:
        yield partial(load_slice, rows)


def list_compute_tasks(
    ahead: ReadAhead, slices: Slices, load: Callable[[Sequence[int]], list[Loaded]], start: Start
) -> Iterator[Callable[[], Batch]]:
    """List the tasks that compute a slice each: first those that were read ahead, then the rest of the rows."""

    def compute(rows: Sequence[int], loading: Future[list[Loaded]] | None = None) -> Batch:
        started = time.perf_counter()
        loaded = loading.result() if loading else load(rows)
        batch = begin_batch(loaded, start)()
        slices.record_time(len(rows), time.perf_counter() - started)
        return batch

    while ahead:
        # Taken one by one, so that the pixels of a slice are let go of as soon as it is computed.
        yield partial(compute, *ahead.take_future())
    for rows in slices:
        yield partial(compute, rows)
