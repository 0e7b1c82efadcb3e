from __future__ import annotations

import pytest
import torch
from torch import nn

from featx.bases.state_dict import copy_tensors, drop_unused
from featx.errors import WeightsError

HEAD = {"1.weight", "1.bias"}


@pytest.fixture
def network() -> nn.Sequential:
    """A body of one layer under a classifier, `0` and `1`."""
    return nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 4))


def tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """Ones in the shapes of a network."""
    return {name: torch.ones_like(tensor) for name, tensor in network.state_dict().items()}


def test_tensors_are_copied_in_the_dtype_of_the_network(network: nn.Sequential) -> None:
    halves = {name: tensor.half() for name, tensor in tensors(network).items()}
    assert copy_tensors("net", network, halves, "file", set()) == frozenset()
    for tensor in network.state_dict().values():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, torch.ones_like(tensor))


def test_a_classifier_of_another_shape_is_left_as_it_was(network: nn.Sequential) -> None:
    before = network[1].weight.clone()
    given = {**tensors(network), "1.weight": torch.ones(9, 2), "1.scale": torch.ones(1)}
    assert copy_tensors("net", network, given, "file", HEAD) == {"1.weight"}
    assert torch.equal(network[1].weight, before)
    assert torch.equal(network[1].bias, torch.ones(4))
    assert torch.equal(network[0].bias, torch.ones(2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"0.bias": None}, r"1 tensor is missing \(0.bias\)"),
        ({"0.bias": None, "0.weight": None}, r"2 tensors are missing \(0.weight, 0.bias\)"),
        ({"2.bias": torch.ones(1)}, r"1 is unknown to it \(2.bias\)"),
        ({"2.bias": torch.ones(1), "3.bias": torch.ones(1)}, r"2 are unknown to it \(2.bias, 3.bias\)"),
        ({"0.bias": torch.ones(7)}, r"1 has another shape \(0.bias: \(7,\), expected \(2,\)\)"),
        ({"0.bias": torch.ones(7), "0.weight": torch.ones(1)}, r"2 have another shape \(0.weight: "),
    ],
)
def test_a_body_that_differs_is_refused_and_the_differences_are_counted(
    network: nn.Sequential, change: dict[str, torch.Tensor | None], message: str
) -> None:
    given = {name: tensor for name, tensor in {**tensors(network), **change}.items() if tensor is not None}
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match=f"'file' holds no weights of net: {message}"):
        copy_tensors("net", network, given, "file", HEAD)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_counters_of_batches_and_training_branches_are_dropped() -> None:
    names = ("bn.num_batches_tracked", "AuxLogits.fc.bias", "aux1.fc1.bias", "fc.bias")
    assert set(drop_unused({name: torch.ones(1) for name in names})) == {"fc.bias"}
