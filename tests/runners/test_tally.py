"""What becomes of each row, whatever order threads come in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.data.rows import Loaded
from featx.keys import DecodeMode, InputTransform
from featx.runners.claims import Claims
from featx.runners.feature_writers import FeatureWriters
from featx.runners.tally import RowOutcome, Tally
from featx.store.store import FeatureStore
from featx.timing import Clock
from tests.store.samples import KEY, features_of

Digests = Callable[[int, int], NDArray[np.uint8]]


@pytest.fixture
def images(digests: Digests) -> list[bytes]:
    return [digest.tobytes() for digest in digests(6, 0)]


def make_tally(cache: Path, *cached: bytes) -> Tally:
    store = FeatureStore(cache)
    if cached:
        rows = np.stack([np.frombuffer(digest, np.uint8) for digest in cached])
        store.add(KEY, rows, features_of(rows), {})
    return Tally(Claims(FeatureWriters(store, [KEY], 10, dict, Clock(), {KEY.layer: 1.0})), KEY.base.transform)


def test_the_first_of_equal_images_is_extracted_and_the_others_are_duplicates(cache: Path, images: list[bytes]) -> None:
    tally = make_tally(cache)
    assert tally.claims.claim(images[0], 0)
    assert not tally.claims.claim(images[0], 3)
    assert tally.count("a", Loaded(0, images[0])) is RowOutcome.EXTRACTED
    assert tally.count("b", Loaded(3, images[0])) is RowOutcome.DUPLICATE


def test_the_first_row_wins_where_a_thread_asked_for_a_later_one_first(cache: Path, images: list[bytes]) -> None:
    tally = make_tally(cache)
    assert tally.claims.claim(images[0], 3)
    assert tally.claims.claim(images[0], 0), "both compute it, so that the first row never waits for a later one"
    assert tally.count("a", Loaded(0, images[0])) is RowOutcome.EXTRACTED
    assert tally.count("b", Loaded(3, images[0])) is RowOutcome.DUPLICATE


def test_what_the_store_holds_is_not_claimed(cache: Path, images: list[bytes]) -> None:
    tally = make_tally(cache, images[1])
    assert not tally.claims.claim(images[1], 0)
    assert tally.count("a", Loaded(0, images[1])) is RowOutcome.CACHED


def test_unreadable_and_broken_images_fail_with_their_reason(cache: Path, images: list[bytes]) -> None:
    tally = make_tally(cache)
    tally.claims.claim(images[0], 1)
    assert tally.count("gone", Loaded(0, None, reason="No such file")) is RowOutcome.FAILED
    assert tally.count("broken", Loaded(1, images[0], reason="truncated")) is RowOutcome.FAILED
    assert tally.count("copy", Loaded(2, images[0])) is RowOutcome.FAILED
    assert [(file.path, file.reason) for file in tally.failed] == [
        ("gone", "No such file"),
        ("broken", "truncated"),
        ("copy", "truncated"),
    ]
    assert tally.counts[RowOutcome.FAILED] == 3


@pytest.mark.parametrize(("decode", "expected"), [("exact", 2), ("scaled", 0)])
def test_jpegs_are_counted_that_could_be_decoded_at_half_their_size(
    cache: Path, images: list[bytes], decode: DecodeMode, expected: int
) -> None:
    tally = make_tally(cache)
    tally.transform = InputTransform(256, 224, decode=decode)
    for row, side in enumerate((0, 1023, 1024, 3000)):
        tally.claims.claim(images[row], row)
        tally.count(str(row), Loaded(row, images[row], jpeg_side=side))
    assert tally.large_jpegs == expected
