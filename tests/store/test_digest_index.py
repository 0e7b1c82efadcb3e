from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.store.digest_index import DigestIndex, RequestedRows
from tests.store.samples import make_digests

ALL = make_digests(12)
ALL[6:9, :8] = ALL[0, :8]  # digests that begin alike
some_rows = st.lists(st.integers(0, len(ALL) - 1), max_size=20)


@given(stored=some_rows, queries=some_rows)
def test_the_first_place_is_found_as_in_a_list(stored: list[int], queries: list[int]) -> None:
    index = DigestIndex([ALL[stored[:3]], ALL[stored[3:]]])
    expected = [stored.index(row) if row in stored else -1 for row in queries]
    assert index.find(ALL[queries]).tolist() == expected
    assert [ALL[row].tobytes() in index for row in queries] == [place >= 0 for place in expected]


@given(stored=some_rows)
def test_the_first_of_equal_digests_is_told_from_its_repetitions(stored: list[int]) -> None:
    expected = [stored.index(row) == place for place, row in enumerate(stored)]
    assert DigestIndex([ALL[stored]]).are_first().tolist() == expected


@given(requested=some_rows, parts=st.lists(st.lists(st.integers(0, len(ALL) - 1), min_size=1, max_size=12), max_size=4))
def test_every_requested_row_is_matched_once_to_a_part_that_holds_it(
    requested: list[int], parts: list[list[int]]
) -> None:
    search = RequestedRows(ALL[requested])
    matched: list[int] = []
    for part in parts:
        rows, places = search.match(ALL[part])
        assert rows.tolist() == sorted(rows.tolist())
        assert [part[row] for row in rows] == [requested[place] for place in places]
        search.is_missing[places] = False
        matched += places.tolist()
    in_parts = {row for part in parts for row in part}
    assert sorted(matched) == [place for place, row in enumerate(requested) if row in in_parts]


@pytest.mark.parametrize("first", [0, 3, 7])
def test_the_rows_of_a_part_that_are_requested_in_its_order_are_found_at_once(first: int) -> None:
    digests = make_digests(10, seed=3)
    rows, places = RequestedRows(digests).match(digests[first:])
    assert rows.tolist() == list(range(10 - first))
    assert places.tolist() == list(range(first, 10))
