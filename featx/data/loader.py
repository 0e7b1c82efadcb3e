"""Reads, digests and decodes images in threads, and has what is to be computed of them computed, in order of the rows.

Where arithmetic runs on the same cores as decoding, each thread takes a few images all the way from the file to the
features: no core waits for another, and threads never outnumber cores. Where it runs on a device, threads only decode,
and batches are handed over one ahead of the one that is being computed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import TypeVar

from PIL import Image

from featx.data.listing import Listing
from featx.files import digest
from featx.images.decode import BrokenImage, decoding
from featx.timing import Clock
from featx.types import LayerFeatures, Pixels

Start = Callable[[list[Pixels]], Callable[[], LayerFeatures]]
"""Begins to compute features of pictures, (height, width, 3) uint8 each; what it returns waits for them."""

SLICE = 8
"""Images that a thread takes at a time, or a multiple of it."""

LARGE = 32
"""The most it takes, where they are quick: a core that changes less often between decoding and arithmetic keeps more of
either in its cache (measured: a tenth faster than with 8)."""

BRIEF = 0.5
"""Seconds that a slice of more than `SLICE` images may take."""

AHEAD_BYTES = 2**26
"""Pixels that are loaded, at most, before what computes on them is ready: some 400 images of 224 pixels."""

Result = TypeVar("Result")


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
        Views that were decoded; empty if the image was not wanted or is broken.
    reason : str or None
        Why there are no pixels, if the file is unreadable or broken.
    pixels : dict of int to array
        What `prepare` made of the picture, by view; given up once it is computed.
    """

    row: int
    digest: bytes | None
    views: tuple[int, ...] = ()
    reason: str | None = None
    pixels: dict[int, Pixels] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Batch:
    """Rows in their order, with what was computed of them.

    Attributes
    ----------
    loaded : list of Loaded
    members : list of (place in `loaded`, view)
        What the rows of `features` belong to.
    features : dict of (layer, pooling) to (members, ...) float32
        Empty where nothing had to be computed.
    """

    loaded: list[Loaded]
    members: list[tuple[int, int]]
    features: LayerFeatures


class Slices(Iterator[Sequence[int]]):
    """Cuts rows into slices: large where images are quick, small towards the end, where no thread shall work alone.

    Parameters
    ----------
    rows : sequence of int
    workers : int
    """

    def __init__(self, rows: Sequence[int], workers: int) -> None:
        self.rows, self.workers = rows, workers
        self.begun = 0
        self.pace = BRIEF  # seconds an image: slow, until one is known

    def took(self, images: int, seconds: float) -> None:
        """Take in how long a slice took."""
        self.pace = seconds / images

    def give_back(self, few: Sequence[int]) -> None:
        """Take back the slice that was given last, to be cut anew."""
        self.begun -= len(few)

    def __next__(self) -> Sequence[int]:
        """Give the next slice."""
        left = len(self.rows) - self.begun
        if not left:
            raise StopIteration
        most = min(LARGE, left // (2 * self.workers), int(BRIEF / max(self.pace, 1e-9)))
        size = max(1, most // SLICE) * SLICE
        few = self.rows[self.begun : self.begun + size]
        self.begun += len(few)
        return few


@dataclass(frozen=True)
class Loader:
    """How rows are loaded.

    Attributes
    ----------
    listing : Listing
    wanted : callable
        Digest and row to whether this image's features are to be computed.
    prepare : callable
        Decoded picture and digest to pixels by view.
    workers : int
        Threads; Pillow, the hash and arithmetic let go of Python's lock while they work.
    clock : Clock
    device_batch : int or None
        Images handed to a device at a time; None where arithmetic runs on the cores that decode.
    """

    listing: Listing
    wanted: Callable[[bytes, int], bool]
    prepare: Callable[[Image.Image, bytes], dict[int, Pixels]]
    workers: int
    clock: Clock
    device_batch: int | None = None

    def __call__(self, rows: Sequence[int], start: Start, build: Callable[[], object]) -> Iterator[Batch]:
        """Load rows and have them computed; batches come in order of the rows.

        Parameters
        ----------
        rows : sequence of int
        start : callable
        build : callable
            Makes all ready that `start` needs; called once the first image has to be computed.
        """
        return (
            self.ahead(rows, start, self.device_batch) if self.device_batch else self.side_by_side(rows, start, build)
        )

    def load(self, row: int) -> Loaded:
        """Read, digest and, if it is wanted, decode one row; never raises for a bad image."""
        try:
            with self.clock.timed("read"):
                data = self.listing.read(self.listing.paths[row])
                name = digest(data)
        except OSError as error:
            return Loaded(row, None, reason=error.strerror or str(error))
        if not self.wanted(name, row):
            return Loaded(row, name)
        try:
            with self.clock.timed("decode"), decoding(data) as picture:
                pixels = self.prepare(picture, name)
        except BrokenImage as error:
            return Loaded(row, name, reason=str(error))
        return Loaded(row, name, tuple(pixels), pixels=pixels)

    def load_all(self, rows: Sequence[int]) -> list[Loaded]:
        """Load a few rows."""
        return [self.load(row) for row in rows]

    def decoded(self, rows: Sequence[int]) -> Iterator[Loaded]:
        """Load rows in threads and give them one by one, in order, with their pixels."""
        with self.pool() as pool:
            for few in self.in_order(pool, self.loads(rows)):
                yield from few

    def begin(self, loaded: list[Loaded], start: Start) -> Callable[[], Batch]:
        """Begin to compute what was loaded, and let go of the pixels."""
        members = [(place, view) for place, one in enumerate(loaded) for view in one.views]
        bare = [replace(one, pixels={}) for one in loaded]
        if not members:
            return lambda: Batch(bare, members, {})
        wait = start([loaded[place].pixels[view] for place, view in members])
        return lambda: Batch(bare, members, wait())

    def side_by_side(self, rows: Sequence[int], start: Start, build: Callable[[], object]) -> Iterator[Batch]:
        """Load and compute in the same threads; while one of them builds what computes, the others load ahead."""
        slices = Slices(rows, self.workers)
        loading: deque[tuple[Sequence[int], Future[list[Loaded]]]] = deque()

        def load_ahead(pool: ThreadPoolExecutor, most: int) -> None:
            while len(loading) < most and (few := next(slices, None)):
                loading.append((few, pool.submit(self.load_all, few)))

        def compute(few: Sequence[int], loaded: Future[list[Loaded]] | None = None) -> Batch:
            started = time.perf_counter()
            batch = self.begin(loaded.result() if loaded else self.load_all(few), start)()
            slices.took(len(few), time.perf_counter() - started)
            return batch

        with self.pool() as pool:
            load_ahead(pool, self.workers)
            while loading and not any(one.views for one in loading[0][1].result()):
                yield self.begin(loading.popleft()[1].result(), start)()
                load_ahead(pool, self.workers)
            if not loading:
                return
            built = pool.submit(build)
            slice_bytes = sum(pixels.nbytes for one in loading[0][1].result() for pixels in one.pixels.values())
            load_ahead(pool, max(self.workers, AHEAD_BYTES // slice_bytes))
            built.result()
            while loading and loading[-1][1].cancel():  # not begun yet: larger slices are better from here on
                slices.give_back(loading.pop()[0])
            early = (partial(compute, *loading.popleft()) for _ in range(len(loading)))  # which lets go of the pixels
            yield from self.in_order(pool, chain(early, (partial(compute, few) for few in slices)))

    def ahead(self, rows: Sequence[int], start: Start, size: int) -> Iterator[Batch]:
        """Load in threads, and compute in batches of about `size` images, one begun before the last is finished."""
        begun: deque[Callable[[], Batch]] = deque()
        loaded: list[Loaded] = []
        with self.pool() as pool:
            for few in self.in_order(pool, self.loads(rows), -(-2 * size // SLICE)):
                loaded += few
                if sum(len(one.views) for one in loaded) >= size:
                    begun.append(self.begin(loaded, start))
                    loaded = []
                    if len(begun) > 1:
                        yield begun.popleft()()
            begun.append(self.begin(loaded, start))
            while begun:
                yield begun.popleft()()

    def in_order(
        self, pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], Result]], more: int = 0
    ) -> Iterator[Result]:
        """Run tasks in threads; results come in order, few of them before they are asked for."""
        waiting: deque[Future[Result]] = deque()
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) >= 2 * self.workers + more:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def loads(self, rows: Sequence[int]) -> Iterator[Callable[[], list[Loaded]]]:
        """List the tasks that load rows, a slice each."""
        return (partial(self.load_all, rows[low : low + SLICE]) for low in range(0, len(rows), SLICE))

    @contextmanager
    def pool(self) -> Iterator[ThreadPoolExecutor]:
        """Start threads; what they have not begun at the end is given up."""
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="featx")
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
