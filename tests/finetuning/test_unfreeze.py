from __future__ import annotations

import numpy as np
import pytest
import torch

from featx.errors import RequestError
from featx.features.scaling import join
from featx.finetuning.head import Head
from featx.finetuning.unfreeze import TrainablePart, divide
from featx.models.array_classifier import ArrayClassifier
from tests.conftest import load_base


def features(n: int, d: int = 12) -> np.ndarray:
    return join([np.random.default_rng(n).random((n, d), np.float32)])


@pytest.mark.parametrize("name", ["tiny", "mobilenet_v2", "resnet18", "squeezenet1_1", "vgg11"])
def test_prefix_and_suffix_are_the_network_below_its_head(name: str) -> None:
    base = load_base(name, "random")
    side = base.id.transform.crop
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    deepest = divide(base, "1").deepest
    with torch.inference_mode():
        expected = base.forward(images.clone(), {deepest: ["avg"]})[deepest, "avg"]
    head = Head("linear", features(20, expected.shape[1]), 3, 4, 0.5)
    last = divide(base, "1").last
    for count in (1, 2, last + 1):
        division = divide(base, str(count))
        assert len(division.stages) == count
        suffix = TrainablePart(division.stages, base.layers[last].layout, head, False).eval()
        with torch.inference_mode():
            found = suffix.pooled(division.prefix(images.clone()))
        assert torch.equal(found, expected)


def test_a_cut_is_named_or_counted_from_the_end() -> None:
    base = load_base("mobilenet_v2", "random")
    assert (divide(base, "layer4").unfrozen, divide(base, "layer4").cut) == ("features.17", "features.16")
    assert divide(base, "2") == divide(base, "features.17")
    assert divide(base, "19").cut is None
    with pytest.raises(RequestError, match="asks for 20 stages, but mobilenet_v2 has 19 below its head"):
        divide(base, "20")
    with pytest.raises(RequestError, match=r"'classifier.1' is part of the head .* 'features.18' is the last"):
        divide(base, "classifier.1")


@pytest.mark.parametrize("kind", ["mlp", "linear"])
@pytest.mark.parametrize("classes", [2, 5])
def test_a_head_is_a_classifier_of_stage_two(kind: str, classes: int) -> None:
    head = Head(kind, features(30), classes, 8, 0.5).eval()
    X = features(7)
    with torch.inference_mode():
        expected = head(torch.from_numpy(X) * 3).softmax(1).numpy()  # length does not count
    chosen, shares = ArrayClassifier(*head.arrays()).predict(X)
    assert np.allclose(shares, expected, atol=1e-5)
    assert np.array_equal(chosen, expected.argmax(1))


def test_a_column_that_hardly_varied_is_not_blown_up() -> None:
    X = features(30)
    X[:, 0] = 0.1
    assert float(Head("linear", X, 2, 4, 0.0).scale.min()) >= 0.1 * 0.9 * float(X[:, 1:].std(axis=0).mean())
    assert float(Head("linear", np.ones((4, 3), np.float32), 2, 4, 0.0).scale.min()) > 0


def test_lower_stages_learn_more_slowly() -> None:
    base = load_base("tiny", "random")
    division = divide(base, "layer3")
    head = Head("linear", features(9, 256), 2, 4, 0.0)
    suffix = TrainablePart(division.stages, "map", head, False)
    rates = [(group["rate"], {id(p) for p in group["params"]}) for group in suffix.groups(0.1, 0.5)]
    assert [rate for rate, _ in rates] == [pytest.approx(0.1, rel=0.1), 0.1, 0.05]
    assert rates[2][1] == {id(p) for p in division.stages[0].module.parameters()}
    weights = np.full((2, 256), 1e-3)
    head.adopt(head.mean.numpy(), head.scale.numpy(), weights, np.zeros(2))
    assert next(suffix.groups(0.1, 0.5))["rate"] == pytest.approx(0.1 * 1e-3 * (3 * 256) ** 0.5)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_that_was_taken_over_scores_as_the_classifier_does(classes: int) -> None:
    X, drawn = features(30), np.random.default_rng(1)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    head = Head("linear", X, classes, 4, 0.5).eval()
    d = X.shape[1]
    mean, scale = drawn.standard_normal(d), drawn.uniform(0.01, 2, d)
    weights, intercept = drawn.standard_normal((1 if classes == 2 else classes, d)), drawn.standard_normal(classes - 1)
    intercept = intercept if classes == 2 else drawn.standard_normal(classes)
    head.adopt(mean, scale, weights, intercept)
    scores = ((X - mean) / scale) @ weights.T + intercept
    found = head(torch.from_numpy(X)).detach().numpy()
    found = found[:, 1:] - found[:, :1] if classes == 2 else found
    assert np.allclose(found, scores, atol=1e-3 * np.abs(scores).max())
