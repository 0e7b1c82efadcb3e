"""Shards are disjoint and together complete, and say what they expect."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.errors import RequestError
from featx.runners.shard import Shard

Digests = Callable[[int, int], NDArray[np.uint8]]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_image_lies_in_exactly_one_shard(digests: Digests, count: int) -> None:
    some = digests(200, 0)
    selected = np.stack([Shard(index, count).select(some) for index in range(1, count + 1)])
    assert (selected.sum(axis=0) == 1).all()


@pytest.mark.parametrize("shard", [Shard(), Shard(2, 3), Shard(5, 8)])
def test_one_digest_and_many_are_told_alike(digests: Digests, shard: Shard) -> None:
    some = digests(200, 1)
    assert shard.select(some).tolist() == [shard.holds(digest.tobytes()) for digest in some]


def test_a_shard_is_divided_into_disjoint_ones(digests: Digests) -> None:
    some = digests(200, 2)
    whole = Shard(2, 3)
    parts = np.stack([part.select(some) for part in whole.divide(4)])
    assert np.array_equal(parts.sum(axis=0), whole.select(some))


def test_a_shard_is_read_from_text() -> None:
    assert Shard.parse("2/8") == Shard(2, 8)


@pytest.mark.parametrize("text", ["5", "x", "1/", "/3", "-1/3", "1/2/3", ""])
def test_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=f"^invalid shard '{text}': expected I/N, such as 2/8$"):
        Shard.parse(text)


@pytest.mark.parametrize("text", ["0/3", "4/3", "0/0"])
def test_an_index_outside_of_the_count_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=f"^invalid shard '{text}': I of I/N counts from 1 to N"):
        Shard.parse(text)
