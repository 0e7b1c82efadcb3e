from __future__ import annotations

from dataclasses import replace

import pytest

from featx.keys import BaseId, FeatureKey, InputTransform

TRANSFORM = InputTransform(256, 224)
BASE = BaseId("resnet18", "ab" * 32, TRANSFORM)
KEY = FeatureKey(BASE, "layer3")


@pytest.mark.parametrize(
    "other",
    [
        replace(BASE, architecture="resnet34"),
        replace(BASE, weights="cd" * 32),
        replace(BASE, transform=InputTransform(256, 192)),
        replace(BASE, precision="bfloat16"),
        replace(BASE, recipe=BASE.recipe + 1),
    ],
)
def test_every_field_of_a_base_changes_its_folder(other: BaseId) -> None:
    assert other.folder != BASE.folder


@pytest.mark.parametrize("change", [{"layer": "layer4"}, {"pooling": "max"}, {"dtype": "float16"}, {"view": 2}])
def test_every_field_of_a_key_changes_its_folder(change: dict[str, object]) -> None:
    assert replace(KEY, **change).folder != KEY.folder  # type: ignore[arg-type]


def test_a_key_survives_json() -> None:
    assert FeatureKey.from_json(KEY.to_json()) == KEY


def test_equal_keys_are_one_in_a_set() -> None:
    assert len({KEY, FeatureKey.from_json(KEY.to_json())}) == 1


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"base": 3}', '{"base": {"transform": []}}'])
def test_what_is_not_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a feature key|Expecting value"):
        FeatureKey.from_json(text)
