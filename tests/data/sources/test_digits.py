from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from featx.data.sources import list_images
from featx.data.sources.digits import list_digits, load_digits
from featx.errors import DataError
from featx.images.decode import decode


def test_the_digits_are_scikit_learns() -> None:
    from sklearn import datasets

    pixels, labels = load_digits()
    assert np.array_equal(pixels, datasets.load_digits().images)
    assert np.array_equal(labels, datasets.load_digits().target)


def test_every_digit_is_a_png_that_decodes() -> None:
    listing = list_digits("digits")
    assert len(listing) == 1797
    picture = decode(listing.read(listing.paths[0]))
    assert picture.size == (12, 12)
    assert len({listing.read(path) for path in listing.paths}) == 1797


def test_a_quarter_of_each_digit_is_held_out() -> None:
    listing = list_digits("digits")
    held = Counter(label for label, split in zip(listing.labels, listing.splits, strict=True) if split == "test")
    total = Counter(listing.labels)
    assert all(abs(held[label] - total[label] / 4) < 1 for label in total)


def test_a_folder_of_the_same_name_is_not_guessed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(list_images("digits")) == len(list_images("builtin:digits")) == 1797
    (tmp_path / "digits" / "7").mkdir(parents=True)
    (tmp_path / "digits" / "7" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"write './digits' for the folder, or 'builtin:digits'"):
        list_images("digits")
    assert list_images("./digits").labels == ["7"]
    assert len(list_images("builtin:digits")) == 1797
    with pytest.raises(DataError, match="there is no built-in data set 'letters': there is 'digits'"):
        list_images("builtin:letters")
