"""How many images are computed at a time: as extraction does for published networks, fewer for larger images."""

from __future__ import annotations

import pytest

from featx.base_choice import BaseChoice
from featx.bases.base import Base
from featx.bases.names import BASE_NAMES
from featx.bases.registry import resolve
from featx.errors import ModelError
from featx.keys import BaseId, FeatureKey
from featx.models.pass_size import choose_pass


def describe(name: str, crop: int | None = None) -> Base:
    """A base without its network: only sizes are asked."""
    choice = BaseChoice(name, resize=crop, crop=crop)
    architecture = resolve(choice)
    return Base(BaseId(architecture.name, "0" * 64, architecture.input), "none", (), architecture.layers())


@pytest.mark.slow
@pytest.mark.parametrize("name", BASE_NAMES)
def test_networks_in_their_own_size_are_computed_as_in_extraction(name: str) -> None:
    base = describe(name)
    for layer in base.layers[-1].name, base.layers[0].name:
        assert choose_pass(base, [FeatureKey(base.id, layer)], 1, "cpu", 8) == (None, 8)


def test_larger_images_take_smaller_batches_and_fewer_threads() -> None:
    base = describe("tiny", 512)
    batch_size, workers = choose_pass(base, [FeatureKey(base.id, "layer4")], 1, "cpu", 64)
    assert batch_size == 2
    assert 1 <= workers < 64
    assert choose_pass(base, [FeatureKey(base.id, "layer4")], 1, "cuda", 64)[0] is None


@pytest.mark.parametrize(
    ("name", "crop", "pooling", "views"),
    [("tiny", 2048, "avg", 1), ("vgg16", 1024, "avg", 1), ("tiny", 224, "flat", 2), ("tiny", 64, "avg", 2000)],
)
def test_what_takes_too_much_is_refused_with_what_to_do(name: str, crop: int, pooling: str, views: int) -> None:
    base = describe(name, crop)
    with pytest.raises(ModelError, match=r"need \d\.\d GB a thread: add --batch-size 1 --workers 1 if that is meant"):
        choose_pass(base, [FeatureKey(base.id, base.layers[1].name, pooling)], views, "cpu", 2)


def test_many_views_take_fewer_threads() -> None:
    base = describe("tiny", 224)
    keys = [FeatureKey(base.id, "layer4")]
    assert choose_pass(base, keys, 6, "cpu", 8)[1] == 8
    assert choose_pass(base, keys, 150, "cpu", 8)[1] < 8
