"""What a tensor states is checked before its numbers are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from featx.bases.weight_files.stored_tensor import PIECE_NUMBERS, StoredTensor
from featx.bases.weight_files.weights_file import NotWeights, Span, WeightsFile


@pytest.fixture
def span(tmp_path: Path) -> Iterator[Span]:
    np.arange(100, dtype="<f4").tofile(tmp_path / "numbers")
    with WeightsFile(tmp_path / "numbers") as file:
        yield Span(file, 0, 400)


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "message"),
    [
        ((10, 10), (0, 1), 0, "expanded"),
        ((10**6, 10**6), (0, 0), 0, "expanded"),
        ((50, 50), (1, 1), 0, "expanded"),
        ((10, 10), (-10, 1), 0, "strides"),
        ((10, 10), (10,), 0, "strides"),
        ((10, 10), (10, 1), -1, "strides"),
        ((10, 10), (10, 1), 1, "more numbers than the file holds"),
        ((101,), (1,), 0, "more numbers than the file holds"),
        ((2**32,), (1,), 0, "no tensor has such a shape"),
        ((1,) * 17, (1,) * 17, 0, "17 dimensions"),
    ],
)
def test_a_tensor_that_the_file_does_not_hold_is_refused(
    span: Span, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, message: str
) -> None:
    with pytest.raises(NotWeights, match=f"'name' .*{message}"):
        StoredTensor(span, "float32", shape, strides, offset).check("name")


def test_a_view_of_a_few_among_many_numbers_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "numbers").open("wb") as file:
        file.truncate(2**30)
    with WeightsFile(tmp_path / "numbers") as file:
        tensor = StoredTensor(Span(file, 0, 2**30), "float32", (2,), (2**28 - 1,))
        with pytest.raises(NotWeights, match="a few among many"):
            tensor.check("name")


def test_strides_over_one_number_do_not_matter(span: Span) -> None:
    tensor = StoredTensor(span, "float32", (1, 10, 1), (0, 1, 7))
    tensor.check("name")
    assert tensor.is_in_order()
    assert tensor.read().flatten().tolist() == list(range(10))


def test_a_large_tensor_is_given_in_pieces(tmp_path: Path) -> None:
    numbers = np.arange(PIECE_NUMBERS + 5, dtype="<i4")
    numbers.tofile(tmp_path / "numbers")
    with WeightsFile(tmp_path / "numbers") as file:
        tensor = StoredTensor(Span(file, 0, numbers.nbytes), "int32", numbers.shape, (1,))
        pieces = list(tensor.pieces())
    assert [len(piece) for piece in pieces] == [PIECE_NUMBERS, 5]
    assert np.array_equal(np.concatenate(pieces), numbers)


def test_a_file_that_becomes_shorter_is_told_from_a_sound_one(tmp_path: Path) -> None:
    (tmp_path / "numbers").write_bytes(bytes(400))
    with WeightsFile(tmp_path / "numbers") as file:
        (tmp_path / "numbers").write_bytes(bytes(100))
        with pytest.raises(NotWeights, match="became shorter"):
            file.read(0, 400)
