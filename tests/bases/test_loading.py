"""Weights that are loaded into a network whose numbers were never drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from featx.base_choice import BaseChoice
from featx.bases.registry import resolve
from tests.conftest import load_base

pytestmark = pytest.mark.slow

KINDS = ("resnet18", "swin_t", "maxvit_t", "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_b0", "googlenet")
"""One of each kind of buffers and of parts that compute something while they are built."""


@pytest.mark.parametrize("name", KINDS)
def test_a_network_loaded_from_a_file_computes_what_the_one_in_the_file_did(name: str, tmp_path: Path) -> None:
    drawn = load_base(name, "random")
    assert drawn.network is not None
    save_file({key: tensor.clone() for key, tensor in drawn.network.state_dict().items()}, tmp_path / "w.safetensors")
    loaded = load_base(name, str(tmp_path / "w.safetensors"))
    assert loaded.id.weights == drawn.id.weights
    assert loaded.layers == drawn.layers == resolve(BaseChoice(name)).layers()
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        a = b = x
        for before, after in zip(drawn.stages, loaded.stages, strict=True):
            a, b = before.module(a), after.module(b)
    assert torch.equal(a, b)
    assert a.abs().sum() > 0
