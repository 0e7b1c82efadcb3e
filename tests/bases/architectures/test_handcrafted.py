from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featx.base_choice import BaseChoice
from featx.bases.architectures.handcrafted import to_grey
from featx.bases.registry import BASES, resolve
from featx.errors import RequestError
from tests.conftest import load_base

pytest.importorskip("skimage")

HANDCRAFTED = [name for name in BASES if BASES[name].default_weights == "none"]
Featx = Callable[..., Any]


def features(name: str, images: np.ndarray[Any, Any], pooling: str = "avg") -> torch.Tensor:
    """Describe (n, height, width, 3) images from 0 to 1."""
    base = load_base(name)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return base.forward(x, {base.layers[-1].name: [pooling]})[base.layers[-1].name, pooling]


def stripes(side: int, across: bool) -> np.ndarray[Any, Any]:
    """Grey stripes, eight pixels wide."""
    line = (np.arange(side) // 8 % 2).astype(np.float32)
    grey = np.tile(line if across else line[:, None], (side, 1) if across else (1, side))
    return np.repeat(grey[:, :, None], 3, axis=2)


@pytest.mark.parametrize("name", HANDCRAFTED)
def test_layers_have_the_shapes_that_the_table_states_and_no_aliases(name: str) -> None:
    base = load_base(name)
    x = torch.rand(2, 3, base.id.transform.crop, base.id.transform.crop)
    for stage, layer in zip(base.stages, resolve(BaseChoice(name)).layers(), strict=True):
        x = stage.module(x)
        assert (tuple(x.shape[1:]), "") == (layer.shape, layer.alias)
    assert x.dtype == torch.float32


@pytest.mark.parametrize("name", HANDCRAFTED)
def test_an_image_has_one_feature_whatever_lies_beside_it(name: str) -> None:
    side = BASES[name].input.crop
    images = np.random.default_rng(0).random((3, side, side, 3), np.float32)
    assert torch.equal(features(name, images)[1:2], features(name, images[1:2]))


@pytest.mark.parametrize("name", ["hog", "daisy"])
def test_gradients_tell_directions_apart(name: str) -> None:
    side = BASES[name].input.crop
    across, along = features(name, np.stack([stripes(side, True), stripes(side, False)]))
    assert torch.nn.functional.cosine_similarity(across, along, dim=0) < 0.8


def test_local_patterns_see_texture_and_not_brightness() -> None:
    noise = np.random.default_rng(0).random((224, 224, 3), np.float32)
    bright, dark, flat = features("lbp", np.stack([0.5 * noise + 0.5, 0.5 * noise, np.full_like(noise, 0.5)]))
    assert torch.dist(bright, dark) < 0.1 < 0.5 < torch.dist(bright, flat)


def textured(side: int = 224, seed: int = 0) -> np.ndarray[Any, Any]:
    """Grey noise of large and small grains, in which SIFT finds keypoints."""
    random = np.random.default_rng(seed)
    grains = sum(np.kron(random.random((side // size, side // size)), np.ones((size, size))) for size in (4, 16, 32))
    return np.repeat((grains / 3)[:, :, None], 3, axis=2).astype(np.float32)


def test_keypoints_are_summarised_by_mean_and_deviation_of_their_root_descriptors() -> None:
    from skimage.feature import SIFT

    image = textured()
    sift = SIFT()
    sift.detect_and_extract(to_grey(image))
    shares = sift.descriptors / sift.descriptors.sum(axis=1, keepdims=True, dtype=float)
    expected = np.concatenate([np.sqrt(shares).mean(axis=0), np.sqrt(shares).std(axis=0)])
    feature = features("sift", image[None])[0].numpy()
    assert np.allclose(feature, expected, atol=1e-6)
    assert np.array_equal(feature, features("sift", image[None])[0].numpy())


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_an_image_without_keypoints_is_all_zeros(grey: float) -> None:
    assert not features("sift", np.full((1, 224, 224, 3), grey, np.float32)).any()


def test_colour_histograms_see_colour_and_not_place() -> None:
    red, green = np.zeros((2, 224, 224, 3), np.float32)
    red[..., 0], green[..., 1] = 1, 1
    left, right = red.copy(), green.copy()
    left[:, 112:], right[:, 112:] = green[:, 112:], red[:, 112:]
    red_left, red_right = features("color-histogram", np.stack([left, right]))
    assert torch.allclose(red_left, red_right, atol=1e-6)
    assert not torch.allclose(*features("color-histogram", np.stack([red, green])), atol=0.1)
    assert not torch.allclose(*features("color-histogram", np.stack([left, right]), "pyramid"), atol=0.1)


@pytest.mark.slow
def test_they_go_through_the_same_commands_into_the_same_table(featx: Featx, photos: Path, cache: Path) -> None:
    for name in ("hog", "color-histogram", "tiny"):
        layer = ["--layer", "layer4"] if name == "tiny" else []
        assert featx("extract", photos, "--base", name, *layer, "--cache", cache, "-q").exit_code == 0
    bases = ("--base", "tiny", "--base", "hog", "--base", "color-histogram")
    words = ("compare", photos, *bases, "--clf", "logreg", "--cache", cache, "-q")
    rows = json.loads(featx(*words, "--json").stdout)
    assert [(row["base"], row["layer"]) for row in rows] == [
        ("tiny", "layer4"),
        ("hog", "hog"),
        ("color-histogram", "color-histogram"),
    ]
    assert rows[2]["test_accuracy"] == 1.0
    assert all(row["p_value"] is not None for row in rows)
    assert "base" in featx(*words).stdout.splitlines()[0]


def test_without_scikit_image_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RequestError, match="need scikit-image: pip install 'featx\\[handcrafted\\]'"):
        load_base("hog")
