from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from featx.features.scaling import join
from featx.finetuning.head import Head
from featx.models.array_classifier import ArrayClassifier


def make_features(n: int, d: int = 12) -> NDArray[np.float32]:
    return join([np.random.default_rng(n).random((n, d), np.float32)])


@pytest.mark.parametrize("kind", ["mlp", "linear"])
@pytest.mark.parametrize("classes", [2, 5])
def test_a_head_is_a_classifier_of_arrays(kind: str, classes: int) -> None:
    head = Head(kind, make_features(30), classes, 8, 0.5).eval()
    X = make_features(7)
    with torch.inference_mode():
        expected = head(torch.from_numpy(X) * 3).softmax(1).numpy()  # length does not count
    chosen, shares = ArrayClassifier(*head.arrays()).predict(X)
    assert np.allclose(shares, expected, atol=1e-5)
    assert np.array_equal(chosen, expected.argmax(1))


def test_a_column_that_hardly_varied_is_not_blown_up() -> None:
    X = make_features(30)
    X[:, 0] = 0.1
    assert float(Head("linear", X, 2, 4, 0.0).scale.min()) >= 0.1 * 0.9 * float(X[:, 1:].std(axis=0).mean())
    assert float(Head("linear", np.ones((4, 3), np.float32), 2, 4, 0.0).scale.min()) > 0


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_set_from_a_linear_classifier_scores_as_it_does(classes: int) -> None:
    X = make_features(30)
    generator = np.random.default_rng(1)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    head = Head("linear", X, classes, 4, 0.5).eval()
    d = X.shape[1]
    outputs = 1 if classes == 2 else classes
    mean = generator.standard_normal(d)
    scale = generator.uniform(0.01, 2, d)
    weights = generator.standard_normal((outputs, d))
    intercept = generator.standard_normal(outputs)
    head.init_from_linear(mean, scale, weights, intercept)
    scores = ((X - mean) / scale) @ weights.T + intercept
    head_scores = head(torch.from_numpy(X)).detach().numpy()
    if classes == 2:
        head_scores = head_scores[:, 1:] - head_scores[:, :1]
    assert np.allclose(head_scores, scores, atol=1e-3 * np.abs(scores).max())
