from __future__ import annotations

import pytest
import torch

from featx.bases.pooling import POOLINGS, layout_of

ACTIVATION = torch.randn(2, 5, 4, 3)


def test_average_and_maximum_are_taken_over_all_places() -> None:
    assert torch.allclose(POOLINGS["avg"](ACTIVATION, "map"), ACTIVATION.flatten(2).mean(2), atol=1e-6)
    assert torch.equal(POOLINGS["max"](ACTIVATION, "map"), ACTIVATION.flatten(2).max(2).values)


@pytest.mark.parametrize("name", POOLINGS)
def test_a_vector_stays_a_vector_and_is_a_copy(name: str) -> None:
    vector = torch.randn(2, 7)
    pooled = POOLINGS[name](vector, "vector")
    assert torch.equal(pooled, vector)
    assert pooled.data_ptr() != vector.data_ptr()


def test_layouts_are_told_by_shapes() -> None:
    assert (layout_of((8, 4, 4)), layout_of((8,))) == ("map", "vector")
