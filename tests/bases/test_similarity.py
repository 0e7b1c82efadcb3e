from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from featx.base_choice import BaseChoice
from featx.bases.base import Base
from featx.bases.registry import resolve
from featx.bases.similarity import Probe, candidates, probe
from featx.images.normalise import to_input
from featx.keys import BaseId
from tests.conftest import load_base

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)


def on_meta(name: str) -> Base:
    layers = resolve(BaseChoice(name)).layers()
    return Base(
        BaseId(name, "", load_base("tiny").id.transform),
        "IMAGENET1K_V1",
        resolve(BaseChoice(name)).meta_stages(),
        layers,
    )


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("tiny", ["layer1", "layer2", "layer3", "layer4"]),
        ("mobilenet_v2", ["features.3", "features.6", "features.13", "features.17", "features.18"]),
        ("vgg11", ["features.9", "features.14", "features.19", "features.20", "classifier.4"]),
        ("squeezenet1_1", ["features.4", "features.7", "features.12"]),
    ],
)
def test_layers_worth_trying_are_the_aliases_and_the_last_before_the_classifier(name: str, layers: list[str]) -> None:
    assert candidates(on_meta(name)) == layers


def test_layers_of_attention_are_tried_in_a_vision_transformer() -> None:
    layers = candidates(on_meta("vit_b_32"))
    assert layers[-1] == "encoder.ln"
    assert len(layers) == 4


def test_images_that_batch_norms_were_set_by_are_near_and_others_far() -> None:
    base = load_base("tiny")
    norms = [module for stage in base.stages for module in stage.module.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    with torch.no_grad():
        base.forward(to_input(torch.from_numpy(PIXELS), base.id.transform), {"layer4": ["avg"]})
    for norm in norms:
        norm.eval()
    near, far = (probe(base, [pixels[:8], pixels[8:]], ["layer2"]) for pixels in (PIXELS, PIXELS // 4))
    assert max(near.distances.values()) < 0.01 < min(far.distances.values())
    assert near.features["layer2"].shape == (24, 64)


def test_similarity_is_one_at_no_distance_and_full_confidence() -> None:
    assert Probe({}, {"a": 0.0}, 1.0).similarity == 1
    assert Probe({}, {"a": 1.0, "b": 9.0, "c": 0.0}, None).similarity == 0.5
    assert Probe({}, {"a": 1.0}, 0.5).similarity == 0.5
    assert Probe({}, {}, None).similarity is None


def test_the_hooks_are_taken_off_again() -> None:
    base = load_base("tiny")
    probe(base, [PIXELS[:2]], ["layer1"])
    assert not any(module._forward_pre_hooks for stage in base.stages for module in stage.module.modules())
