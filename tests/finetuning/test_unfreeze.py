from __future__ import annotations

import numpy as np
import pytest
import torch

from featx.errors import RequestError
from featx.finetuning.head import Head
from featx.finetuning.unfreeze import TrainablePart, divide
from tests.conftest import load_base
from tests.finetuning.test_head import make_features


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "mobilenet_v2", "resnet18", "squeezenet1_1", "vgg11"])
def test_prefix_and_trainable_part_are_the_network_below_its_head(name: str) -> None:
    base = load_base(name, "random")
    side = base.id.transform.crop
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    deepest = divide(base, "1").deepest
    with torch.inference_mode():
        expected = base.forward(images.clone(), {deepest: ["avg"]})[deepest, "avg"]
    head = Head("linear", make_features(20, expected.shape[1]), 3, 4, 0.5)
    last = divide(base, "1").last
    for count in (1, 2, last + 1):
        plan = divide(base, str(count))
        assert len(plan.stages) == count
        part = TrainablePart(plan.stages, base.layers[last].layout, head, False).eval()
        with torch.inference_mode():
            pooled = part.compute_pooled(plan.run_prefix(images.clone()))
        assert torch.equal(pooled, expected)


def test_a_cut_is_named_or_counted_from_the_end() -> None:
    base = load_base("mobilenet_v2", "random")
    assert (divide(base, "layer4").unfrozen, divide(base, "layer4").cut) == ("features.17", "features.16")
    assert divide(base, "2") == divide(base, "features.17")
    assert divide(base, "19").cut is None
    with pytest.raises(RequestError, match="asks for 20 stages, but mobilenet_v2 has 19 below its head"):
        divide(base, "20")
    with pytest.raises(RequestError, match=r"'classifier.1' is part of the head .* 'features.18' is the last"):
        divide(base, "classifier.1")


def test_lower_stages_learn_more_slowly() -> None:
    base = load_base("tiny", "random")
    plan = divide(base, "layer3")
    head = Head("linear", make_features(9, 256), 2, 4, 0.0)
    part = TrainablePart(plan.stages, "map", head, False)
    groups = list(part.param_groups(0.1, 0.5))
    assert [group["lr"] for group in groups] == [pytest.approx(0.1, rel=0.1), 0.1, 0.05]
    assert set(map(id, groups[2]["params"])) == set(map(id, plan.stages[0].module.parameters()))
    weights = np.full((2, 256), 1e-3)
    head.init_from_linear(head.mean.numpy(), head.scale.numpy(), weights, np.zeros(2))
    assert next(part.param_groups(0.1, 0.5))["lr"] == pytest.approx(0.1 * 1e-3 * (3 * 256) ** 0.5)
