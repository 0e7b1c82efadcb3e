from __future__ import annotations

from pathlib import Path

import pytest

from featx.base_choice import BaseChoice
from featx.errors import WeightsError
from featx.ladder.opened_base import open_to_choose

pytestmark = pytest.mark.slow


def test_a_base_of_maps_is_tried_at_its_standard_layers_with_three_poolings() -> None:
    base = open_to_choose(BaseChoice("tiny"))
    assert base.layers == ["layer1", "layer2", "layer3", "layer4"]
    assert list(base.poolings) == ["avg", "avg+max", "pyramid"]
    assert base.poolings["pyramid"] == 5 * base.poolings["avg"]
    assert base.choice.weights == "CIFAR100"
    assert base.multiply_adds > 1e6


def test_poolings_that_would_all_give_the_same_are_not_tried() -> None:
    assert list(open_to_choose(BaseChoice("sift")).poolings) == ["avg"]


def test_hand_crafted_features_have_no_weights_to_state() -> None:
    assert open_to_choose(BaseChoice("color-histogram")).choice.weights is None


def test_weights_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.pth"):
        open_to_choose(BaseChoice("tiny", str(tmp_path / "gone.pth")))
