"""Reading the rows block by block gives the model that having them in memory gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from featx.errors import DataError, RequestError, UnknownName
from featx.linear.fit import fit_linear
from featx.linear.out_of_core import compute_moments, fit_out_of_core


def features(rows: int = 300, columns: int = 40, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    x = random.normal(size=(rows, columns)) @ random.normal(size=(columns, columns)) + 3.0
    x += 2.0 * random.normal(size=(classes, columns))[labels]
    x[:, 1] = 0.1
    return x.astype(np.float32), labels


def in_blocks(x: np.ndarray, y: np.ndarray, size: int) -> Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]:
    return lambda: ((x[i : i + size], y[i : i + size]) for i in range(0, len(x), size))


def test_mean_and_scale_do_not_depend_on_the_blocks() -> None:
    x, y = features()
    whole = compute_moments(in_blocks(x, y, 300))
    parts = compute_moments(in_blocks(x, y, 7))
    np.testing.assert_allclose(parts.scaling.mean, x.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(parts.scaling.scale, whole.scaling.scale, rtol=1e-12)
    assert parts.scaling.scale[1] == 1.0, "a constant column keeps its scale"
    np.testing.assert_array_equal(parts.labels, y)


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("shape", [(300, 40), (60, 90)], ids=["tall", "wide"])
def test_the_out_of_core_model_decides_as_the_one_in_memory(kind: str, classes: int, shape: tuple[int, int]) -> None:
    x, y = features(*shape, classes)
    values = [1e-3, 1e-2, 1e-1]
    models = fit_out_of_core(in_blocks(x, y, 37), kind, values)
    for c, out_of_core in zip(values, models, strict=True):
        in_memory = fit_linear(x, y, kind, c)
        np.testing.assert_allclose(out_of_core.decision_function(x), in_memory.decision_function(x), atol=2e-2)
        assert np.mean(out_of_core.predict(x) == in_memory.predict(x)) >= 0.995


def test_without_second_moments_the_model_is_the_same() -> None:
    x, y = features()
    moments = compute_moments(in_blocks(x, y, 64), max_moments=10)
    assert moments.basis is None
    (model,) = fit_out_of_core(in_blocks(x, y, 64), "logreg", [0.01], moments)
    in_memory = fit_linear(x, y, "logreg", 0.01)
    np.testing.assert_allclose(model.decision_function(x), in_memory.decision_function(x), atol=5e-3)


def test_what_cannot_be_fitted_is_refused() -> None:
    x, y = features()
    with pytest.raises(DataError, match="no rows"):
        fit_out_of_core(list, "logreg", [1.0])
    with pytest.raises(DataError, match="one class only"):
        fit_out_of_core(in_blocks(x, y * 0, 50), "svm", [1.0])
    with pytest.raises(RequestError, match="must be positive"):
        fit_out_of_core(in_blocks(x, y, 50), "svm", [-1.0])
    with pytest.raises(UnknownName, match="unknown linear classifier 'mlp'"):
        fit_out_of_core(in_blocks(x, y, 50), "mlp", [1.0])
    x[200, 3] = np.nan
    with pytest.raises(DataError, match="NaN or infinity"):
        fit_out_of_core(in_blocks(x, y, 50), "logreg", [1.0])
