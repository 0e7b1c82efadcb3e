from __future__ import annotations

from collections import Counter

import numpy as np

from featx.data.sources.digits import list_digits, load_digits
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
