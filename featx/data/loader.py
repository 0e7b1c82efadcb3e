"""Reads, hashes and decodes images in worker threads, and yields them, with their features, in data-set order.

Where arithmetic runs on the same cores as decoding, each thread takes a few images all the way from the file to the
features: no core waits for another, and threads never outnumber cores. Where it runs on a device, threads only decode,
and the next batch is handed over while the one before it is computed.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from PIL import Image

from featx.data.listing import Listing
from featx.data.reading import reading
from featx.errors import first_line
from featx.images.decode import BrokenImage, decoding
from featx.images.depth import RangeUse
from featx.images.picture_digest import digest_picture
from featx.keys import ValueRange
from featx.timing import Clock
from featx.types import LayerFeatures, Pixels

log = logging.getLogger(__name__)

Start = Callable[[list[Pixels]], Callable[[], LayerFeatures]]
"""Begins to compute features of images, (height, width, 3) uint8 each, and returns the function that waits for them."""

Select = Callable[[bytes, int], bool]
"""Digest and row of an image to whether it is to be decoded; threads call it."""

Prepare = Callable[[Image.Image, bytes], dict[int, Pixels]]
"""Decoded picture and digest to pixels by view; threads call it."""

SLICE = 8
"""Images that a thread takes at a time, or a multiple of it."""

LARGEST_SLICE = 32
"""The most images that a thread takes, where they are quick: a core that changes less often between decoding and
arithmetic keeps more of either in its cache (measured: a tenth faster than with 8)."""

SLICE_SECONDS = 0.5
"""Seconds that a slice of more than `SLICE` images may take."""

AHEAD_BYTES = 2**26
"""Pixels that are decoded, at most, before the engine is ready: some 400 images of 224 x 224 pixels."""

TaskResult = TypeVar("TaskResult")


@dataclass(frozen=True)
class Loaded:
    """One row after reading.

    Attributes
    ----------
    row : int
        Place in the listing.
    digest : bytes or None
        sha256 of the file's bytes; None if it could not be read.
    views : tuple of int
        Views that were decoded; empty if the image was not selected or is broken.
    reason : str or None
        Why there are no pixels, if the file is unreadable or broken.
    pixels : dict of int to (height, width, 3) uint8
        What `prepare` made of the picture, by view; given up once it is computed.
    range_use : RangeUse or None
        Which values a picture of more than 8 bits holds.
    has_more_pages : bool
        Whether the file holds more pages or frames than the one that was decoded.
    """

    row: int
    digest: bytes | None
    views: tuple[int, ...] = ()
    reason: str | None = None
    pixels: dict[int, Pixels] = field(default_factory=dict, repr=False)
    range_use: RangeUse | None = None
    has_more_pages: bool = False


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


class Slices(Iterator[Sequence[int]]):
    """Divides rows into slices: larger where images are quick, smaller near the end so that workers finish together.

    Parameters
    ----------
    rows : sequence of int
    workers : int
        Threads that take slices.
    """

    def __init__(self, rows: Sequence[int], workers: int) -> None:
        self.rows = rows
        self.workers = workers
        self.begun = 0
        # Slow until the first slice is timed, so that the first slices are small.
        self.seconds_per_image = SLICE_SECONDS

    def record_time(self, images: int, seconds: float) -> None:
        """Take in how long a slice took, to size the next ones by."""
        self.seconds_per_image = seconds / images

    def take_back(self, rows: Sequence[int]) -> None:
        """Take back the slice that was given last, to be divided anew."""
        self.begun -= len(rows)

    def __next__(self) -> Sequence[int]:
        """Give the next slice."""
        rows_left = len(self.rows) - self.begun
        if not rows_left:
            raise StopIteration
        by_time = int(SLICE_SECONDS / max(self.seconds_per_image, 1e-9))
        by_end = rows_left // (2 * self.workers)
        most = min(LARGEST_SLICE, by_end, by_time)
        size = max(1, most // SLICE) * SLICE
        rows = self.rows[self.begun : self.begun + size]
        self.begun += len(rows)
        return rows


class ReadAhead:
    """Slices that are loaded in threads before anything computes on them.

    Parameters
    ----------
    pool : ThreadPoolExecutor
    load : callable
        Loads the images of a slice.
    slices : Slices
    """

    def __init__(self, pool: ThreadPoolExecutor, load: Callable[[Sequence[int]], list[Loaded]], slices: Slices) -> None:
        self.pool = pool
        self.load = load
        self.slices = slices
        self.futures: deque[tuple[Sequence[int], Future[list[Loaded]]]] = deque()

    def __len__(self) -> int:
        return len(self.futures)

    def fill(self, count: int) -> None:
        """Begin slices until so many are on their way, or none is left."""
        while len(self.futures) < count:
            rows = next(self.slices, None)
            if rows is None:
                break
            self.futures.append((rows, self.pool.submit(self.load, rows)))

    def first(self) -> list[Loaded]:
        """Wait for the first slice, and look at it without taking it."""
        return self.futures[0][1].result()

    def take_future(self) -> tuple[Sequence[int], Future[list[Loaded]]]:
        """Take the first slice, whether it is loaded yet or not."""
        return self.futures.popleft()

    def give_back_unstarted(self) -> None:
        """Give slices back that no thread has begun, the last one first, as `Slices` wants them."""
        while self.futures and self.futures[-1][1].cancel():
            rows, _ = self.futures.pop()
            self.slices.take_back(rows)


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
    """

    listing: Listing
    select: Select
    prepare: Prepare
    workers: int
    clock: Clock
    device_batch: int | None = None
    ahead_bytes: int = AHEAD_BYTES
    value_range: ValueRange | None = None

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
        with self.pool() as pool:
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
                return Loaded(row, None, reason=error.strerror or str(error))
            return self.decode(row, data, image_digest)

    def decode(self, row: int, data: bytes, image_digest: bytes) -> Loaded:
        """Decode and prepare what was read of a row, if it is selected."""
        if not self.select(image_digest, row):
            return Loaded(row, image_digest)
        try:
            with self.clock.timed("decode"), decoding(data, self.value_range) as decoded:
                pixels = self.prepare_picture(decoded.picture, image_digest)
        except BrokenImage as error:
            return Loaded(row, image_digest, reason=str(error))
        use = decoded.range_use
        return Loaded(row, image_digest, tuple(pixels), None, pixels, use, decoded.has_more_pages)

    def prepare_picture(self, picture: Image.Image, image_digest: bytes) -> dict[int, Pixels]:
        """Make of a decoded picture what is wanted of it.

        Raises
        ------
        BrokenImage
            If that fails, whatever the reason: one picture must not stop a run.
        """
        try:
            return self.prepare(picture, image_digest)
        except Exception as error:
            log.debug("a picture of %d x %d pixels", *picture.size, exc_info=True)
            reason = "not enough memory" if isinstance(error, MemoryError) else first_line(error)
            raise BrokenImage(f"{picture.width} x {picture.height} pixels cannot be resized: {reason}") from error

    def load_all(self, rows: Sequence[int]) -> list[Loaded]:
        """Load a few rows, in the calling thread."""
        return [self.load(row) for row in rows]

    def list_tasks(self, rows: Sequence[int]) -> Iterator[Callable[[], list[Loaded]]]:
        """List the tasks that load rows, a slice each."""
        for first in range(0, len(rows), SLICE):
            yield partial(self.load_all, rows[first : first + SLICE])

    def compute_in_workers(self, rows: Sequence[int], start: Start, build: Callable[[], object]) -> Iterator[Batch]:
        """Load and compute in the same threads; while one of them builds the engine, the others read ahead."""
        slices = Slices(rows, self.workers)
        with self.pool() as pool:
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
        slices_of_two_batches = -(-2 * size // SLICE)
        begun: deque[Callable[[], Batch]] = deque()
        waiting: list[Loaded] = []
        views = 0
        with self.pool() as pool:
            for loaded in self.in_order(pool, self.list_tasks(rows), slices_of_two_batches):
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

    def in_order(
        self, pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], TaskResult]], more: int = 0
    ) -> Iterator[TaskResult]:
        """Run tasks in threads; results come in order, and only a few tasks are begun before they are asked for.

        Parameters
        ----------
        pool : ThreadPoolExecutor
        tasks : iterable of callable
        more : int
            Tasks to begin beyond two a worker.
        """
        futures: deque[Future[TaskResult]] = deque()
        for task in tasks:
            futures.append(pool.submit(task))
            if len(futures) >= 2 * self.workers + more:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()

    @contextmanager
    def pool(self) -> Iterator[ThreadPoolExecutor]:
        """Start threads; what they have not begun at the end is given up."""
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="featx")
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


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
