from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.errors import MissingFeatures, StoreError
from featx.store.part import Part
from featx.store.reader import ParallelReader
from tests.store.samples import KEY, features_of, fill, make_digests


def open_handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("max_open_parts", [1, 3, 64])
def test_more_parts_than_may_be_open_are_all_read(cache: Path, max_open_parts: int) -> None:
    store, every = fill(cache, parts=10)
    before = open_handles()
    with ParallelReader(len(every), max_open_parts) as reader:
        store.collect(KEY, every[::-1], reader.take)
    assert reader.is_sound
    assert np.array_equal(reader.out, features_of(every[::-1]))
    assert open_handles() == before


def test_a_request_that_fails_leaves_no_part_open(cache: Path) -> None:
    store, every = fill(cache, parts=4)
    before = open_handles()
    with pytest.raises(MissingFeatures, match="holds no features of tiny-.* for 1 of 81 images"):
        store.get(KEY, np.concatenate([every, make_digests(1, seed=7)]))
    assert open_handles() == before


def test_a_disk_that_fails_in_one_thread_fails_the_request(cache: Path) -> None:
    store, every = fill(cache, parts=4)
    reader = ParallelReader(len(every))
    taken: list[Path] = []

    def take(part: Part, rows: NDArray[np.intp], places: NDArray[np.intp]) -> None:
        taken.append(part.path)
        if len(taken) != 3:
            reader.take(part, rows, places)
            return
        write_only = os.open(part.path, os.O_WRONLY)  # reading from this handle fails in the system itself
        reader.take(replace(part, file=replace(part.file, handle=write_only)), rows, places)
        os.close(write_only)

    before = open_handles()
    with pytest.raises(StoreError, match=r"'.*part-.*' cannot be read: Bad file descriptor"), reader:
        store.collect(KEY, every, take)
    assert len(taken) == 4
    assert open_handles() == before
