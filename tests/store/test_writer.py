from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featx.errors import NotFinite, StoreError
from featx.store.part import PART_BYTES
from featx.store.store import FeatureStore
from featx.store.writer import PartWriter, RowCost, rows_per_part
from featx.timing import Clock
from tests.store.samples import KEY, features_of, make_digests, part_files

COST = RowCost(0.1, 0.25)


def names(cache: Path) -> set[str]:
    return {path.name for path in part_files(cache)}


def write(cache: Path, n: int, batch: int, start: int = 0) -> None:
    writer = PartWriter(FeatureStore(cache), KEY, 32, dict, Clock())
    every = make_digests(n)
    for low in range(start, n, batch):
        some = every[low : low + batch]
        writer.append([row.tobytes() for row in some], features_of(some), COST)
    writer.close()


@pytest.mark.parametrize("batch", [1, 8, 32, 50, 200])
def test_parts_do_not_depend_on_the_size_of_batches(tmp_path: Path, batch: int) -> None:
    write(tmp_path / "a", 100, batch)
    write(tmp_path / "b", 100, 10)
    assert len(names(tmp_path / "a")) == 4
    assert names(tmp_path / "a") == names(tmp_path / "b")


def test_an_interrupted_writer_goes_on_with_the_same_parts(tmp_path: Path) -> None:
    write(tmp_path / "a", 64, 8)
    write(tmp_path / "a", 100, 8)
    write(tmp_path / "b", 100, 8)
    assert names(tmp_path / "a") == names(tmp_path / "b")


def test_wide_rows_fill_a_part_sooner(cache: Path) -> None:
    writer = PartWriter(FeatureStore(cache), KEY, 1024, dict, Clock())
    every = make_digests(5)
    writer.append([row.tobytes() for row in every], np.ones((5, PART_BYTES // 8), np.float32), COST)
    writer.close()
    assert len(part_files(cache)) == 3


def test_an_error_of_the_writing_thread_is_raised(cache: Path) -> None:
    writer = PartWriter(FeatureStore(cache), KEY, 2, dict, Clock())
    every = make_digests(3)
    writer.append([row.tobytes() for row in every], np.full((3, 4), np.nan, np.float32), COST)
    with pytest.raises(NotFinite, match="not finite"):
        writer.close()
    assert not part_files(cache)


def test_a_cache_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    writer, every = PartWriter(FeatureStore(tmp_path / "cache"), KEY, 4, dict, Clock()), make_digests(2)
    writer.append([row.tobytes() for row in every], features_of(every), COST)
    with pytest.raises(StoreError, match="What was committed before is safe"):
        writer.close()


@pytest.mark.parametrize(("images", "rows"), [(0, 32), (36, 32), (1797, 128), (10_000, 512), (10**6, 1024)])
def test_a_part_holds_about_a_sixteenth_of_the_data_set(images: int, rows: int) -> None:
    assert rows_per_part(images) == rows


def test_parts_state_what_their_rows_have_cost(cache: Path) -> None:
    write(cache, 100, 30)
    (summary,) = FeatureStore(cache).keys()
    assert (summary.seconds, summary.seconds_alone) == pytest.approx((100 * COST.share, 100 * COST.alone))
