from __future__ import annotations

import io

import h5py
import numpy as np
import pytest

from featx.store.hdf5_layout import lay_out

FLOATS = np.dtype("<f4")


def test_numbers_written_behind_the_head_are_the_last_dataset() -> None:
    numbers = np.arange(24, dtype=FLOATS).reshape(4, 3, 2)
    head, offsets = lay_out({"a": "text", "b": 7}, {"x": np.arange(5)}, "last", numbers.shape, FLOATS)
    assert offsets["last"] == len(head)
    with h5py.File(io.BytesIO(head + numbers.tobytes())) as file:
        assert dict(file.attrs) == {"a": "text", "b": 7}
        assert np.array_equal(file["x"], np.arange(5))
        assert np.array_equal(file["last"], numbers)


@pytest.mark.parametrize("rows", [1, 7, 5000])
def test_the_library_reads_back_texts_of_any_length(rows: int) -> None:
    texts = np.array(["ä", "b" * 1000] * rows, h5py.string_dtype())
    head, _ = lay_out({"long": "x" * 70_000 if rows == 1 else "y"}, {"texts": texts}, "last", (rows,), FLOATS)
    with h5py.File(io.BytesIO(head + bytes(4 * rows))) as file:
        assert list(file["texts"].asstr()) == ["ä", "b" * 1000] * rows


def test_equal_values_give_equal_bytes() -> None:
    first, again = (lay_out({"a": "b"}, {"x": np.arange(3)}, "last", (2,), FLOATS) for _ in range(2))
    assert first == again
