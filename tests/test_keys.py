from __future__ import annotations

import json
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


def test_keys_without_a_value_range_are_those_of_before_there_was_one() -> None:
    assert BASE.digest == "b1ae87645d26f14eff4b0f5ce5bc24454b24c7ea9e313fd25cd37c6f4cd3439f"
    assert "value_range" not in KEY.to_json()


def test_a_value_range_is_part_of_the_key_and_survives_json() -> None:
    base = replace(BASE, transform=replace(TRANSFORM, value_range=(0.0, 1023.0)))
    key = replace(KEY, base=base)
    assert base.folder != BASE.folder
    assert FeatureKey.from_json(key.to_json()) == key


OLD_KEY = (
    '{"base": {"architecture": "resnet18", "precision": "float32", "recipe": 1, "transform": {"crop": 224, '
    '"interpolation": "bilinear", "mean": [0.485, 0.456, 0.406], "resize": 256, "std": [0.229, 0.224, 0.225]}, '
    '"weights": "abababababababababababababababababababababababababababababababab"}, "dtype": "float32", '
    '"layer": "layer3", "pooling": "avg", "view": 0}'
)


def test_exact_decoding_leaves_keys_as_they_were_before_there_was_another() -> None:
    assert KEY.to_json() == OLD_KEY
    read = FeatureKey.from_json(OLD_KEY)
    assert read == KEY
    assert read.base.transform.decode == "exact"
    assert read.base.transform.least_side is None


def test_scaled_decoding_is_part_of_the_key_and_survives_json() -> None:
    base = replace(BASE, transform=replace(TRANSFORM, decode="scaled"))
    key = replace(KEY, base=base)
    assert base.digest != BASE.digest
    assert json.loads(key.to_json())["base"]["transform"]["decode"] == "scaled"
    assert FeatureKey.from_json(key.to_json()) == key
    assert base.transform.least_side == 512
