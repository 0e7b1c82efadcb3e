"""The one way to run a base over a listing; and pixels alone, for those who look inside the base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from featx.data.listing import Listing
from featx.data.loader import Batch, Loader, Select
from featx.data.loading_process import can_load_in_processes
from featx.data.remote_loading import ChooseViews, RemotePreparation
from featx.engines.engine import LazyEngine, Plan
from featx.engines.threads import one_torch_thread
from featx.images.range_report import RangeReport
from featx.images.transform import to_pixels
from featx.keys import InputTransform
from featx.timing import Clock
from featx.types import Pixels

LEAST_WORKERS = 6
"""Threads from which on images for a device are loaded in processes: sixteen threads decode 840 photos of 500 x 375 a
second for one GPU, a third of what their cores could, since they wait for Python's lock; on two cores nothing waits."""

LEAST_ROWS = 2048
"""Rows from which on that pays: processes start in about half a second, in which threads would load some 400."""

SAMPLE_BATCH = 16
"""Images that `PixelBatches` gives at a time."""

SAMPLE_WORKERS = 2
"""Threads that decode for `PixelBatches`: torch computes on the other cores meanwhile."""


def compute_features(
    engine: LazyEngine, listing: Listing, rows: Sequence[int], select: Select, choose_views: ChooseViews
) -> Iterator[Batch]:
    """Run a base over images of a listing.

    While it runs, torch has one thread on the CPU, since the threads that decode call it side by side.

    Parameters
    ----------
    engine : LazyEngine
        Built only if an image has to be computed; its plan says which layers, where and in how many threads.
    listing : Listing
    rows : sequence of int
        Rows of the listing to be read.
    select : callable
        Whether an image is to be computed, once it is read and hashed.
    choose_views : callable
        The views of an image that was selected.

    Yields
    ------
    Batch
        In order of the rows. A row that was not selected is in it without features, a broken image with a reason.

    Raises
    ------
    RequestError
        If the engine cannot be made, or an image is more than the device can take.
    """
    plan = engine.plan

    def prepare(picture: Image.Image, digest: bytes) -> dict[int, Pixels]:
        return plan.prepare(picture, digest, choose_views(digest))

    transform = plan.base.id.transform
    loader = Loader(
        listing,
        select,
        prepare,
        plan.workers,
        engine.clock,
        plan.device_batch,
        value_range=transform.value_range,
        least_side=transform.least_side,
    )
    if loads_in_processes(plan, listing, len(rows)):
        loader = replace(loader, processes=plan_remotely(plan, choose_views))
    with one_torch_thread(plan.device):
        yield from loader(rows, engine.start, engine.build)


def loads_in_processes(plan: Plan, listing: Listing, rows: int) -> bool:
    """Whether images are loaded for a device in processes: what the plan says, else where it pays.

    Only files on disk are, alone, in archives or in tables, and only on systems that have what it takes.
    """
    is_possible = bool(plan.device_batch) and listing.files.are_stored and can_load_in_processes()
    is_worth_it = plan.workers >= LEAST_WORKERS and rows >= LEAST_ROWS
    return is_possible and (is_worth_it if plan.in_processes is None else plan.in_processes)


def plan_remotely(plan: Plan, choose_views: ChooseViews) -> RemotePreparation:
    """Say what processes make of pictures: what `Plan.prepare` does, for who cannot have the plan."""
    return RemotePreparation(plan.base.id.transform, choose_views, lambda: plan.keeps_raw and plan.raw_from_processes)


class PixelBatches:
    """Images of a listing as a base takes them, in batches of (n, crop, crop, 3) uint8; to be gone through once.

    Broken images are passed over.

    Parameters
    ----------
    listing : Listing
    rows : sequence of int
    transform : InputTransform

    Attributes
    ----------
    rows_given : list of int
        Rows of the images that were given so far, in order.
    """

    def __init__(self, listing: Listing, rows: Sequence[int], transform: InputTransform) -> None:
        self.rows = rows
        self.rows_given: list[int] = []
        self._ranges = RangeReport()
        self._is_range_given = transform.value_range is not None
        self._loader = Loader(
            listing,
            lambda digest, row: True,
            lambda picture, digest: {0: to_pixels(picture, transform)},
            SAMPLE_WORKERS,
            Clock(),
            value_range=transform.value_range,
            least_side=transform.least_side,
        )

    def __iter__(self) -> Iterator[Pixels]:
        """Decode the images, and yield them in batches."""
        batch: list[Pixels] = []
        for loaded in self._loader.decoded(self.rows):
            if not loaded.pixels:
                continue
            self._ranges.add(loaded.range_use, loaded.has_more_pages)
            self.rows_given.append(loaded.row)
            batch.append(loaded.pixels[0])
            if len(batch) == SAMPLE_BATCH:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)
        self._ranges.warn(self._is_range_given)
