from __future__ import annotations

import numpy as np
import pytest

from featx.linear.spaces import fit_scaling


def test_scaled_columns_vary_by_one_on_average_and_weak_ones_less() -> None:
    x = np.random.default_rng(0).normal(3, [1e-3, 1, 4, 0], (200, 4))
    variance = fit_scaling(x).apply(x, "float64").var(axis=0)
    assert variance[:3].sum() == pytest.approx(4)  # as if the constant column varied, too
    assert variance == pytest.approx(x.std(axis=0) / x.std(axis=0).mean(), abs=1e-9)
    assert fit_scaling(x, power=1.0).apply(x, "float64").var(axis=0) == pytest.approx([1, 1, 1, 0])
    constant = fit_scaling(np.full((5, 3), 7.0))
    assert constant.scale.tolist() == [1, 1, 1]
