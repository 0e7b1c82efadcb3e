"""Every pooling and every classifier of larger bases: in the long form all pairs, else one for each base."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import featx
from featx.models.array_classifier import CALIBRATIONS
from tests.conftest import load_base
from tests.models.onnx.making import make_model

pytestmark = [pytest.mark.slow, pytest.mark.stress]

IS_LONG = bool(os.environ.get("FEATX_STRESS"))

POOLINGS = ("avg", "max", "avg+max", "pyramid", "flat")
LAYERS = {
    "resnet18": "layer4",
    "mobilenet_v2": "features.18",
    "timm:tf_efficientnet_lite0": "bn2",
    "timm:vit_tiny_patch16_224": "blocks.8",
}
"""Bases with random weights, and the layer that each is cut at."""


def list_pairs() -> list[tuple[str, str, str]]:
    """List base, pooling and classifier of what is tested."""
    pairs = []
    for base in LAYERS:
        poolings = (*POOLINGS, "cls") if "vit" in base else POOLINGS
        pairs += [(base, pooling, clf) for pooling in poolings for clf in CALIBRATIONS]
    return pairs if IS_LONG else [("resnet18", "pyramid", "svm")]


@pytest.mark.parametrize(("name", "pooling", "clf"), list_pairs())
def test_onnx_runtime_gives_what_predict_gives(name: str, pooling: str, clf: str, photos: Path, tmp_path: Path) -> None:
    if name.startswith("timm:") and importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    model = replace(make_model(load_base(name, "random"), clf, pooling, (LAYERS[name],)), weights="random")
    paths = [str(path) for path in sorted(photos.rglob("*.png"))[::6]]
    expected = featx.predict(model, paths).labelled
    for half, most in ((False, 1e-4), (True, 1e-2)):
        featx.export(model, tmp_path / "m.onnx", half=half)
        found = featx.predict(tmp_path / "m.onnx", paths).labelled
        differences = [
            np.abs(np.subtract(list(one.probabilities.values()), list(other.probabilities.values()))).max()
            for one, other in zip(expected, found, strict=True)
        ]
        assert max(differences) < most
        assert half or [image.label for image in found] == [image.label for image in expected]
