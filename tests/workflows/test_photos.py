"""The main job on real photos with real weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from featx.base_choice import BaseChoice
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features

pytestmark = [pytest.mark.weights, pytest.mark.slow]


def choice(shared: Path) -> BaseChoice:
    return BaseChoice("mobilenet_v2", str(shared / "weights" / "mobilenet_v2-imagenet.safetensors"))


def test_ants_and_bees_are_told_apart_and_a_second_run_computes_nothing(shared: Path, cache: Path) -> None:
    data = str(shared / "data" / "hymenoptera")
    request = ExtractRequest(data, choice(shared), ("layer3", "features.18"), cache=cache)
    first, second = extract_features(request), extract_features(request)
    assert (first.images, first.extracted, first.failed) == (398, 398, [])
    assert (second.cached, second.extracted) == (398, 0)
    shallow, deep = compare_layer_sets(CompareRequest(data, choice(shared), classifiers=("logreg",), cache=cache))
    assert (shallow.layer, deep.layer, deep.n_test) == ("features.13", "features.18", 153)
    assert deep.test_accuracy > shallow.test_accuracy
    assert deep.test_accuracy >= 0.95  # one picture is 0.0065


def test_every_odd_image_gives_features_and_every_broken_one_a_reason(shared: Path, cache: Path) -> None:
    data = str(shared / "data" / "odd-images")
    summary = extract_features(ExtractRequest(data, choice(shared), ("layer1",), cache=cache))
    broken = {Path(file.path).name for file in summary.failed}
    system = {Path(file.path).name for file in summary.skipped if "/broken/" in file.path}
    assert summary.extracted + summary.duplicates == 97
    assert system == {"Thumbs.db", "._photo.jpg"}
    assert broken | system == {path.name for path in (shared / "data" / "odd-images" / "broken").iterdir()} | system
    assert all(file.reason for file in summary.failed)
