from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from featx.errors import BrokenPart, MissingFeatures
from featx.store.hdf5_export import Columns, write_export
from tests.store.samples import KEY, OTHER, features_of, fill, make_digests


def make_columns(digests: NDArray[np.uint8]) -> Columns:
    numbers = range(len(digests))
    return Columns(
        digests, [f"class {n % 2}" for n in numbers], [f"{n}.png" for n in numbers], ["train" for _ in numbers]
    )


def test_rows_of_many_parts_stand_in_the_order_of_the_columns(cache: Path, tmp_path: Path) -> None:
    store, every = fill(cache, parts=4)
    order = np.random.default_rng(0).permutation(len(every))
    digests = np.concatenate([every[order], every[:7], np.repeat(every[9:10], 50, axis=0)])
    size = write_export(tmp_path / "out.h5", store, KEY, make_columns(digests), {"base": "tiny"})
    assert size == (tmp_path / "out.h5").stat().st_size
    with h5py.File(tmp_path / "out.h5") as file:
        assert np.array_equal(file["features"], features_of(digests))
        assert np.array_equal(file["digests"], digests)
        assert list(file["paths"].asstr()[:2]) == ["0.png", "1.png"]
        assert dict(file.attrs) == {"key": KEY.to_json(), "base": "tiny"}


def test_a_path_that_is_not_utf8_keeps_its_bytes(cache: Path, tmp_path: Path) -> None:
    store, every = fill(cache, parts=1)
    columns = Columns(every[:1], ["a"], ["caf\udce9.png"], ["train"])
    write_export(tmp_path / "out.h5", store, KEY, columns, {})
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["paths"][0] == b"caf\xe9.png"


def test_missing_rows_leave_the_old_file_as_it_was(cache: Path, tmp_path: Path) -> None:
    store, every = fill(cache)
    target = tmp_path / "out.h5"
    target.write_text("old")
    with pytest.raises(MissingFeatures, match="for 2 of 62 images: run featx extract"):
        write_export(target, store, KEY, make_columns(np.concatenate([every, make_digests(2, seed=9)])), {})
    with pytest.raises(MissingFeatures, match="holds no features of tiny-.*/layer4/avg: run featx extract"):
        write_export(target, store, OTHER, make_columns(every), {})
    assert target.read_text() == "old"
    assert list(tmp_path.glob(".tmp-*")) == []


def test_rows_of_different_shapes_are_not_exported_together(cache: Path, tmp_path: Path) -> None:
    store, every = fill(cache, parts=1)
    others = make_digests(3, seed=5)
    store.add(KEY, others, features_of(others, (2, 2)), {})
    with pytest.raises(BrokenPart, match="holds rows of shape .* Run `featx cache clean`"):
        write_export(tmp_path / "out.h5", store, KEY, make_columns(np.concatenate([every, others])), {})
