from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.errors import MissingFeatures
from featx.store import reader as reading
from featx.store.part import Part
from tests.store.samples import KEY, features_of, fill, make_digests


def open_handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("held", [1, 3, 64])
def test_more_parts_than_are_held_are_all_read(cache: Path, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr(reading, "HELD", held)
    store, every = fill(cache, parts=10)
    before = open_handles()
    assert np.array_equal(store.get(KEY, every[::-1]), features_of(every[::-1]))
    assert open_handles() == before


def test_a_request_that_fails_leaves_no_part_open(cache: Path) -> None:
    store, every = fill(cache, parts=4)
    before = open_handles()
    with pytest.raises(MissingFeatures, match="1 of 81 images"):
        store.get(KEY, np.concatenate([every, make_digests(1, seed=7)]))
    assert open_handles() == before


def test_a_disk_that_fails_in_one_thread_fails_the_request(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, every = fill(cache, parts=4)
    read, calls = Part.read_to, []

    def fail_once(part: Part, *words: Any) -> None:
        calls.append(part)
        if len(calls) == 3:
            raise OSError(5, "Input/output error")
        read(part, *words)

    monkeypatch.setattr(Part, "read_to", fail_once)
    before = open_handles()
    with pytest.raises(OSError, match="Input/output error"):
        store.get(KEY, every)
    assert open_handles() == before
