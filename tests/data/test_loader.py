from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from featx.data.listing import Listing
from featx.data.loader import Batch, Loader
from featx.data.slices import LARGEST_SLICE, SLICE, Slices
from featx.data.sources.image_files import MemoryFiles
from featx.timing import Clock
from featx.types import LayerFeatures, Pixels


def picture(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (value, value, value)).save(buffer, "PNG")
    return buffer.getvalue()


FILES = {str(value): picture(value) for value in range(100)} | {"7": b"no image"}


def make_loader(workers: int = 3, device_batch: int | None = None) -> Loader:
    paths = list(FILES)
    listing = Listing("made", paths, [""] * len(paths), [""] * len(paths), MemoryFiles(FILES.__getitem__))
    return Loader(
        listing,
        lambda digest, row: row != 5,
        lambda image, digest: {0: np.asarray(image), 2: np.asarray(image) // 2},
        workers,
        Clock(),
        device_batch,
    )


def brightness(pixels: list[Pixels]) -> Callable[[], LayerFeatures]:
    means = np.stack(pixels).reshape(len(pixels), -1).mean(axis=1, dtype=np.float32)[:, None]
    return lambda: {("layer", "avg"): means}


def ready() -> None:
    """There is nothing to build."""


@pytest.mark.parametrize("device_batch", [None, 1, 16, 1000])
@pytest.mark.parametrize("workers", [1, 3])
def test_every_row_comes_in_order_with_the_features_of_its_views(workers: int, device_batch: int | None) -> None:
    rows, rows_given = list(range(3, 100)), []
    for batch in make_loader(workers, device_batch)(rows, brightness, ready):
        rows_given += [image.row for image in batch.loaded]
        for (place, view), value in zip(batch.members, next(iter(batch.features.values()), []), strict=True):
            row = batch.loaded[place].row
            assert value == (row if view == 0 else row // 2), "another image's feature"
            assert not batch.loaded[place].pixels, "pixels must not pile up"
        assert {image.row for image in batch.loaded if not image.views} <= {5, 7}
    assert rows_given == rows


def test_a_broken_image_has_a_reason_and_costs_its_batch_nothing() -> None:
    first: Batch = next(make_loader()([6, 7, 8], brightness, ready))
    assert [bool(image.reason) for image in first.loaded] == [False, True, False]
    assert len(first.members) == 4


@pytest.mark.parametrize(("seconds", "most"), [(0.001, LARGEST_SLICE), (0.5 / (2 * SLICE), 2 * SLICE), (1.0, SLICE)])
def test_slices_are_large_where_images_are_quick_and_small_at_the_end(seconds: float, most: int) -> None:
    slices, sizes, rows = Slices(range(1000), 2), [], []
    for few in slices:
        sizes.append(len(few))
        rows += few
        slices.record_time(len(few), seconds * len(few))
    assert rows == list(range(1000))
    assert max(sizes) == most
    assert sizes[0] == sizes[-2] == SLICE


def test_a_slice_that_was_given_back_is_cut_anew() -> None:
    slices = Slices(range(1000), 2)
    next(slices)
    slices.take_back(next(slices))
    slices.record_time(SLICE, 0.001)
    assert next(slices) == range(SLICE, SLICE + LARGEST_SLICE)


def test_slices_that_nobody_began_before_the_engine_was_ready_become_large_ones() -> None:
    quick, computes, sizes = make_loader(workers=2), threading.Event(), []

    def prepare(image: Image.Image, digest: bytes) -> dict[int, Pixels]:
        computes.wait(0.03)  # slow at first, so that not everything is loaded before anything is computed
        return quick.prepare(image, digest)

    def start(pixels: list[Pixels]) -> Callable[[], LayerFeatures]:
        computes.set()
        sizes.append(len(pixels) // 2)  # two views each
        return brightness(pixels)

    loader = replace(quick, prepare=prepare)

    rows = 20 * list(range(100))
    assert [image.row for batch in loader(rows, start, ready) for image in batch.loaded] == rows
    assert max(sizes) > 2 * SLICE


def test_only_a_few_slices_are_loaded_before_they_are_asked_for() -> None:
    seen: list[int] = []

    def select(digest: bytes, row: int) -> bool:
        seen.append(row)
        return True

    bytes_a_row = 2 * 4 * 4 * 3  # two views of 4 x 4 pixels
    counted = replace(make_loader(workers=2), select=select, ahead_bytes=20 * SLICE * bytes_a_row)
    batches = counted(10 * list(range(100)), brightness, ready)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert len(seen) <= (20 + 5) * SLICE


def test_an_error_of_the_engine_reaches_the_caller_and_threads_end() -> None:
    def fail(pixels: Pixels) -> Callable[[], LayerFeatures]:
        raise RuntimeError("no memory")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="no memory"):
        list(make_loader()(range(20), fail, ready))
    assert threading.active_count() == before


def test_images_are_loaded_while_what_computes_them_is_built() -> None:
    built, loaded = threading.Event(), threading.Event()

    def select(digest: bytes, row: int) -> bool:
        if row == 50:
            loaded.set()
        return row != 5

    def build() -> None:
        assert loaded.wait(10), "nothing was loaded meanwhile"
        built.set()

    def start(pixels: Pixels) -> Callable[[], LayerFeatures]:
        assert built.is_set(), "computed before all was ready"
        return brightness(pixels)

    batches = replace(make_loader(workers=2), select=select)(list(range(100)), start, build)
    assert [image.row for batch in batches for image in batch.loaded] == list(range(100))


def test_nothing_is_built_where_nothing_is_computed() -> None:
    def build() -> None:
        raise AssertionError("built for nothing")

    idle = replace(make_loader(workers=2), select=lambda digest, row: False)
    assert sum(len(batch.loaded) for batch in idle(list(range(100)), brightness, build)) == 100


def test_an_error_while_building_reaches_the_caller() -> None:
    def build() -> None:
        raise RuntimeError("no such engine")

    with pytest.raises(RuntimeError, match="no such engine"):
        list(make_loader()(range(20), brightness, build))


@pytest.mark.parametrize("workers", [1, 3])
def test_decoded_rows_come_one_by_one_in_order_with_their_pixels(workers: int) -> None:
    rows = list(range(3, 60))
    images = list(make_loader(workers).decoded(rows))
    assert [image.row for image in images] == rows
    assert {image.row for image in images if not image.pixels} == {5, 7}


@pytest.mark.parametrize("error", [MemoryError(), ValueError("no such size\nat all"), RuntimeError()])
def test_whatever_goes_wrong_with_one_picture_is_one_failed_image(error: Exception) -> None:
    def prepare(image: Image.Image, digest: bytes) -> dict[int, Pixels]:
        if image.getpixel((0, 0)) == (8, 8, 8):
            raise error
        return {0: np.asarray(image)}

    loader = replace(make_loader(), prepare=prepare)
    rows = [loaded for batch in loader([7, 8, 9], brightness, ready) for loaded in batch.loaded]
    assert [bool(loaded.reason) for loaded in rows] == [True, True, False]
    assert str(rows[1].reason).startswith("4 x 4 pixels cannot be resized: ")
    assert "\n" not in str(rows[1].reason)


@pytest.mark.parametrize("error", [ValueError("embedded null byte"), MemoryError()])
def test_a_file_that_cannot_be_read_for_any_reason_is_one_failed_image(error: Exception) -> None:
    def read(path: str) -> bytes:
        if path == "8":
            raise error
        return FILES[path]

    loader = make_loader()
    loader = replace(loader, listing=replace(loader.listing, files=MemoryFiles(read)))
    rows = [loaded for batch in loader([8, 9], brightness, ready) for loaded in batch.loaded]
    assert [bool(loaded.reason) for loaded in rows] == [True, False]
