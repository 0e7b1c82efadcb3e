from __future__ import annotations

import io

import h5py
import numpy as np
import pytest

from featx.store.hdf5_layout import MOST_TEMPLATES, TemplateLayouts, lay_out

FLOATS = np.dtype("<f4")


def test_numbers_written_behind_the_head_are_the_last_dataset() -> None:
    numbers = np.arange(24, dtype=FLOATS).reshape(4, 3, 2)
    head, offsets = lay_out({"a": "text", "b": 7}, {"x": np.arange(5)}, "last", numbers.shape, FLOATS)
    assert offsets["last"] == len(head)
    with h5py.File(io.BytesIO(head + numbers.tobytes())) as file:
        assert dict(file.attrs) == {"a": "text", "b": 7}
        assert np.array_equal(file["x"], np.arange(5))
        assert np.array_equal(file["last"], numbers)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 7, 5000])
def test_the_library_reads_back_texts_of_any_length(rows: int) -> None:
    texts = np.array(["ä", "b" * 1000] * rows, h5py.string_dtype())
    head, _ = lay_out({"long": "x" * 70_000 if rows == 1 else "y"}, {"texts": texts}, "last", (rows,), FLOATS)
    with h5py.File(io.BytesIO(head + bytes(4 * rows))) as file:
        assert list(file["texts"].asstr()) == ["ä", "b" * 1000] * rows


def test_equal_values_give_equal_bytes() -> None:
    first, again = (lay_out({"a": "b"}, {"x": np.arange(3)}, "last", (2,), FLOATS) for _ in range(2))
    assert first == again


def test_a_form_met_before_gives_the_bytes_of_the_library() -> None:
    layouts = TemplateLayouts()
    random = np.random.default_rng(0)
    for number in range(5):
        attributes = {"key": f"key number {number}", "provenance": f"{{'created': {number}}}".ljust(64), "n": 3}
        digests = random.integers(0, 256, (9, 32)).astype(np.uint8)
        datasets = {"digest": digests, "checksums": random.integers(0, 9, 4)}
        laid_out = layouts.lay_out(attributes, datasets, "features", (9, 5), FLOATS)
        assert laid_out == lay_out(attributes, datasets, "features", (9, 5), FLOATS)


def test_texts_that_occur_twice_are_not_mixed_up() -> None:
    layouts = TemplateLayouts()
    for a, b in (("x", "x"), ("y", "z"), ("z", "y")):
        head, _ = layouts.lay_out({"a": a, "b": b}, {"d": np.arange(3)}, "last", (1,), FLOATS)
        with h5py.File(io.BytesIO(head + bytes(4))) as file:
            assert dict(file.attrs) == {"a": a, "b": b}


def test_more_forms_than_are_kept_are_all_laid_out() -> None:
    layouts = TemplateLayouts()
    for rows in (*range(1, 2 * MOST_TEMPLATES), 1, 2):
        datasets = {"d": np.arange(rows)}
        laid_out = layouts.lay_out({"a": "text"}, datasets, "last", (rows,), FLOATS)
        assert laid_out == lay_out({"a": "text"}, datasets, "last", (rows,), FLOATS)
