"""Shards are disjoint and together complete, and say what they expect."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.data.listing import Listing
from featx.data.sources.image_files import ON_DISK
from featx.errors import RequestError
from featx.runners.shard import Shard


def make_listing(count: int, data: str = "photos", folder: str = "photos") -> Listing:
    paths = [f"{folder}/class {row % 3}/picture {row}.jpg" for row in range(count)]
    return Listing(data, paths, [""] * count, [""] * count, ON_DISK)


def select_all(listing: Listing, count: int) -> NDArray[np.bool_]:
    return np.stack([Shard(index, count).select(listing) for index in range(1, count + 1)])


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_row_lies_in_exactly_one_shard_and_shards_are_about_equal(count: int) -> None:
    selected = select_all(make_listing(2000), count)
    assert (selected.sum(axis=0) == 1).all()
    assert selected.sum(axis=1).min() > 0.8 * 2000 / count


@pytest.mark.parametrize(
    ("data", "folder"),
    [
        ("/mnt/photos", "/mnt/photos"),
        ("photos/", "photos"),
        ("/mnt/photos/labels.csv", "/mnt/photos"),
        ("labels.csv", "."),
    ],
)
def test_shards_are_the_same_wherever_the_data_set_lies(data: str, folder: str) -> None:
    paths = [path.removeprefix("./") for path in make_listing(100, data, folder).paths]
    listing = Listing(data, paths, [""] * 100, [""] * 100, ON_DISK)
    assert np.array_equal(select_all(listing, 3), select_all(make_listing(100), 3))


def test_rows_that_come_or_go_move_no_other() -> None:
    many = make_listing(300)
    few = many.subset(range(50, 300, 2))
    assert np.array_equal(select_all(many, 4)[:, 50::2], select_all(few, 4))


def test_a_name_that_is_not_text_has_a_shard() -> None:
    listing = Listing("photos", ["photos/\udcff.jpg"], [""], [""], ON_DISK)
    assert select_all(listing, 3).sum() == 1


def test_a_shard_is_divided_into_disjoint_ones() -> None:
    listing = make_listing(200)
    whole = Shard(2, 3)
    parts = np.stack([part.select(listing) for part in whole.divide(4)])
    assert np.array_equal(parts.sum(axis=0), whole.select(listing))


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
