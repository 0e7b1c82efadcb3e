from __future__ import annotations

import pytest
from scipy.stats import binomtest

from featx.classifiers.scores import wilson


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (10, 10), (145, 153), (1, 2), (340, 360)])
def test_the_interval_is_scipys(hits: int, total: int) -> None:
    expected = binomtest(hits, total).proportion_ci(0.95, method="wilson")
    assert wilson(hits, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_more_images_make_a_narrower_interval() -> None:
    few, many = wilson(9, 10), wilson(900, 1000)
    assert many[1] - many[0] < few[1] - few[0]


def test_nothing_judged_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one"):
        wilson(0, 0)
