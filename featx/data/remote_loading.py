"""Has a slice loaded by a process: the side of the thread, which claims images and does what the process may not.

A slice takes two calls, or a few more where its files or pixels are large: the process reads and hashes, the thread
says which images are to be decoded, and the process decodes these. So the thread needs Python's lock a few times a
slice. Rows of Parquet files are read by the thread, and their bytes are sent: a process by itself would unpack whole
row groups for a few of their rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

from featx.data.listing import ImageFile, Listing
from featx.data.loading_process import LoadingFailed, LoadingProcess, LoadingProcesses
from featx.data.loading_worker import DecodingTerms, FileRead, PictureMade, Wanted, decode_files, read_files
from featx.data.reading import READING_BUDGET, HeldFile, read_whole
from featx.data.rows import Loaded, describe_unreadable
from featx.images.decode import DECODING_BUDGET
from featx.images.views import FIXED_VIEWS
from featx.keys import InputTransform
from featx.timing import Clock
from featx.types import Pixels

ChooseViews = Callable[[bytes], Sequence[int]]
"""Digest of an image to the numbers of the views to be computed, all from one decoding; threads call it."""


@dataclass(frozen=True)
class RemotePreparation:
    """What is made of a picture, as it can be told to a process.

    Attributes
    ----------
    transform : InputTransform
    choose_views : callable
        The views of an image that was selected; asked here.
    keeps_raw : callable
        Whether a device resizes the pictures that may stay as they were decoded; asked for each slice.
    """

    transform: InputTransform
    choose_views: ChooseViews
    keeps_raw: Callable[[], bool]


class ThreadLoading(Protocol):
    """Loads in the calling thread: the part of a `Loader` that is needed here."""

    @property
    def listing(self) -> Listing:
        """The rows."""

    @property
    def clock(self) -> Clock:
        """Counts the seconds of reading and decoding."""

    @property
    def select(self) -> Callable[[bytes, int], bool]:
        """Digest and row of an image to whether it is to be decoded."""

    def load(self, row: int) -> Loaded:
        """Do all of a row."""

    def decode(self, row: int, data: bytes, image_digest: bytes) -> Loaded:
        """Decode and prepare what was read of a row that was selected."""

    def load_all(self, rows: Sequence[int]) -> list[Loaded]:
        """Do all of some rows."""


@dataclass(frozen=True)
class RemoteLoading:
    """Loads slices, each in the next process that is idle.

    Attributes
    ----------
    local : ThreadLoading
        Does what no process does.
    preparation : RemotePreparation
    processes : LoadingProcesses
    """

    local: ThreadLoading
    preparation: RemotePreparation
    processes: LoadingProcesses

    def load_all(self, rows: Sequence[int]) -> list[Loaded]:
        """Load the rows of a slice; a process that ends meanwhile costs no image."""
        process = self.processes.take()
        if process is None:
            return self.local.load_all(rows)
        try:
            loaded = self.load_in(process, rows)
        except LoadingFailed as failure:
            self.processes.give_up(process, failure)
            # Rows that were claimed already are claimed once more by the same row, which is granted.
            return self.local.load_all(rows)
        self.processes.put_back(process)
        return loaded

    def load_in(self, process: LoadingProcess, rows: Sequence[int]) -> list[Loaded]:
        """Load rows in a process, in as many rounds as its share of memory asks for.

        Raises
        ------
        LoadingFailed
            If the process fails.
        """
        loaded: list[Loaded] = []
        while len(loaded) < len(rows):
            loaded += self.load_first(process, rows[len(loaded) :])
        return loaded

    def load_first(self, process: LoadingProcess, rows: Sequence[int]) -> list[Loaded]:
        """Load the first of some rows, as many as a process holds the files of; those that it cannot do, here.

        Raises
        ------
        LoadingFailed
            If the process fails.
        """
        share = self.processes.file_share
        is_shareable = self.local.listing.files.are_shareable
        # What is read here is held twice, by this process and by the other one.
        with READING_BUDGET.hold(share if is_shareable else 2 * share):
            images = self.find_files(rows) if is_shareable else self.hold_files(rows)
            files, seconds = process.call(read_files, images, share)
            self.local.clock.add("read", seconds)
            read = list(zip(rows, files, strict=False))
            done = self.decode_wanted(process, read, self.list_wanted(read))
        # A file that is larger than a share waits for a share of its own.
        for place, (row, file) in enumerate(read):
            if file.digest is None and file.reason is None:
                done[place] = self.local.load(row)
        return [done[place] for place in range(len(read))]

    def find_files(self, rows: Sequence[int]) -> list[ImageFile]:
        """Say how files are read, small enough to be sent."""
        listing = self.local.listing
        return [listing.files.find(listing.paths[row]) for row in rows]

    def hold_files(self, rows: Sequence[int]) -> list[ImageFile]:
        """Read the first of some files, as many as a share of memory holds: one at least."""
        started = time.perf_counter()
        share = self.processes.file_share
        held: list[ImageFile] = []
        total = 0
        for file in self.find_files(rows):
            try:
                data = read_whole(file)
            except OSError as error:
                held.append(HeldFile(b"", 0, describe_unreadable(error)))
                continue
            total += len(data)
            if held and total > share:
                break
            held.append(HeldFile(data if len(data) <= share else b"", len(data)))
        self.local.clock.add("read", time.perf_counter() - started)
        return held

    def list_wanted(self, read: Sequence[tuple[int, FileRead]]) -> list[Wanted]:
        """List the files that are to be decoded, by their places, with their views."""
        wanted: list[Wanted] = []
        for place, (row, file) in enumerate(read):
            if file.digest is None or not self.local.select(file.digest, row):
                continue
            views = tuple(self.preparation.choose_views(file.digest))
            # Views that are drawn are made by torchvision, which takes seconds to import.
            is_fixed = all(view < len(FIXED_VIEWS) for view in views)
            wanted.append((place, views if is_fixed else None))
        return wanted

    def decode_wanted(
        self, process: LoadingProcess, read: Sequence[tuple[int, FileRead]], wanted: Sequence[Wanted]
    ) -> dict[int, Loaded]:
        """Have files decoded that a process has read: place to row, those included that are not to be decoded.

        Raises
        ------
        LoadingFailed
            If the process fails.
        """
        done = {place: Loaded(row, file.digest, reason=file.reason) for place, (row, file) in enumerate(read)}
        handed_back: dict[int, bytes] = {}
        if wanted:
            with DECODING_BUDGET.hold(self.processes.decoding_share):
                for place, made, block in self.decode_in(process, wanted):
                    if made.file_bytes is None:
                        done[place] = make_loaded(done[place], made, block)
                    else:
                        handed_back[place] = block.tobytes()
        for place, data in handed_back.items():
            row, file = read[place]
            assert file.digest is not None
            done[place] = self.local.decode(row, data, file.digest)
        return done

    def decode_in(self, process: LoadingProcess, wanted: Sequence[Wanted]) -> list[tuple[int, PictureMade, Pixels]]:
        """Have files decoded, in as many calls as their pixels ask for: place, what was made, and its bytes.

        Raises
        ------
        LoadingFailed
            If the process fails.
        """
        terms = DecodingTerms(
            process.descriptor,
            self.preparation.transform,
            self.preparation.keeps_raw(),
            self.processes.decoding_share,
        )
        done: list[tuple[int, PictureMade, Pixels]] = []
        while len(done) < len(wanted):
            left = wanted[len(done) :]
            pictures, seconds = process.call(decode_files, left, terms)
            self.local.clock.add("decode", seconds)
            sizes = [count_bytes(made) for made in pictures]
            block = process.take(sum(sizes))
            begin = 0
            for (place, _), made, size in zip(left, pictures, sizes, strict=False):
                done.append((place, made, block[begin : begin + size]))
                begin += size
        return done


def count_bytes(made: PictureMade) -> int:
    """Count the bytes that were written of a picture, or of its file."""
    return (made.file_bytes or 0) + sum(prod(shape) for _, shape in made.shapes)


def make_loaded(row: Loaded, made: PictureMade, block: Pixels) -> Loaded:
    """Put a row together with what was made of its picture.

    Parameters
    ----------
    row : Loaded
        With its number and digest.
    made : PictureMade
    block : (count_bytes(made),) uint8
    """
    pixels: dict[int, Pixels] = {}
    begin = 0
    for view, shape in made.shapes:
        end = begin + prod(shape)
        pixels[view] = block[begin:end].reshape(shape)
        begin = end
    pages = made.has_more_pages
    return Loaded(row.row, row.digest, tuple(pixels), made.reason, pixels, made.range_use, pages, made.jpeg_side)
