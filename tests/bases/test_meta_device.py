from __future__ import annotations

import torch

from featx.bases.meta_device import build_on_meta, fill_with_zeros
from featx.bases.registry import BASES


def test_parameters_have_shapes_only_and_computed_tables_are_real() -> None:
    network = build_on_meta(BASES["swin_t"].build)
    assert all(parameter.is_meta for parameter in network.parameters())
    tables = [tensor for name, tensor in network.named_buffers() if name.endswith("relative_position_index")]
    assert tables
    assert not any(table.is_meta for table in tables)


def test_zeros_take_the_place_of_what_has_no_values_and_tables_stay() -> None:
    network = build_on_meta(BASES["swin_t"].build)
    before = {name: tensor for name, tensor in network.named_buffers() if not tensor.is_meta}
    fill_with_zeros(network)
    assert not any(tensor.is_meta or tensor.any() for tensor in network.parameters())
    after = dict(network.named_buffers())
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_building_on_meta_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    build_on_meta(BASES["resnet18"].build)
    assert torch.equal(torch.get_rng_state(), before)
