from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featx.base_choice import BaseChoice
from featx.bases import registry
from featx.bases.architecture import Architecture
from featx.errors import WeightsError
from featx.evaluation.layer_scores import LayerScore
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.advise import LARGE, advise_layer, decide, give_reasons
from featx.workflows.extract import extract_features
from tests.conftest import picture

pytestmark = pytest.mark.slow

Featx = Callable[..., Any]


def test_with_nothing_cached_a_sample_decides_and_the_next_step_is_to_extract(photos: Path, cache: Path) -> None:
    advice = advise_layer(CompareRequest(str(photos), BaseChoice("tiny"), cache=cache))
    assert [layer.layer for layer in advice.layers] == ["layer1", "layer2", "layer3", "layer4"]
    assert not any(layer.cached for layer in advice.layers)
    assert advice.layer in {layer.layer for layer in advice.layers}
    assert advice.command.startswith(f"featx extract {photos} --base tiny --layer")
    assert advice.similarity is not None
    assert 0 < advice.similarity < 1
    assert {"stem", "layer1"} <= set(advice.distances)
    assert advice.images == 27


def test_cached_layers_decide_and_the_next_step_is_to_fit(featx: Featx, photos: Path, cache: Path) -> None:
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny"), ("layer1", "layer2"), cache=cache))
    words = ("advise", photos, "--base", "tiny", "--cache", cache, "-q")
    advice = json.loads(featx(*words, "--json").stdout)
    assert {"layer", "similarity", "strategy", "command", "layers", "learning_curve", "case"} <= set(advice)
    assert [layer["layer"] for layer in advice["layers"] if layer["cached"]] == ["layer1", "layer2"]
    assert advice["layer"] in ("layer1", "layer2")
    assert advice["command"].startswith(f"featx fit {photos} --base tiny --layer {advice['layer']} --clf ")
    text = featx(*words).stdout
    assert text.splitlines()[-1] == f"Next: {advice['command']}"
    assert featx(*advice["command"].split()[1:-4], "--cache", cache).exit_code == 0


def test_a_base_with_random_weights_has_no_similarity(photos: Path, cache: Path) -> None:
    advice = advise_layer(CompareRequest(str(photos), BaseChoice("tiny", "random"), cache=cache))
    assert (advice.similarity, advice.confidence, advice.case) == (None, None, "")


def test_without_weights_and_without_features_there_is_no_advice(photos: Path, cache: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        advise_layer(CompareRequest(str(photos), BaseChoice("tiny", "gone.pth"), cache=cache))


def test_a_request_resolves_its_base_once(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []
    look_up = registry.find_architecture

    def counting(name: str, weights: str | None) -> Architecture:
        looked_up.append(name)
        return look_up(name, weights)

    monkeypatch.setattr(registry, "find_architecture", counting)
    advise_layer(CompareRequest(str(photos), BaseChoice("tiny"), cache=cache))
    assert looked_up == ["tiny"]


def test_a_broken_image_in_the_sample_is_passed_over(photos: Path, cache: Path) -> None:
    (photos / "red" / "05.png").write_bytes(b"no picture")
    advice = advise_layer(CompareRequest(str(photos), BaseChoice("tiny"), cache=cache))
    assert {layer.images for layer in advice.layers} <= {advice.images, advice.images - 1}


def evidence(layer: str, accuracy: float) -> LayerScore:
    return LayerScore(layer, "avg", 9, LARGE, True, 0, 0, 0.5, {"logreg": accuracy, "svm": 0.1}, "logreg")


@pytest.mark.parametrize(
    ("accuracy", "said"), [(0.899, "statistically tied: layer3 (avg), 0.899"), (0.8, "runner-up: layer3 (avg), 0.800")]
)
def test_the_second_layer_is_named_as_tied_or_as_runner_up(accuracy: float, said: str) -> None:
    best, second = evidence("layer4", 0.9), evidence("layer3", accuracy)
    reasons = give_reasons(best, [(2000, 0.89), (4000, 0.9)], [second, best])
    assert reasons == [
        f"layer4 with logreg reaches 0.900, cross-validated on all {LARGE} training images",
        said,
        "the last doubling of the training images brought +1.0 points: more images would help",
    ]


@pytest.mark.parametrize(
    ("layer", "accuracy", "curve", "large", "strategy"),
    [
        ("layer4", 0.97, (0.96, 0.97), True, "linear"),
        ("layer3", 0.97, (0.96, 0.97), False, "shallow"),
        ("layer4", 0.70, (0.699, 0.70), True, "finetune"),
        ("layer4", 0.70, (0.60, 0.70), True, "linear"),
        ("layer4", 0.70, (0.699, 0.70), False, "linear"),
    ],
)
def test_fine_tuning_is_advised_where_there_is_much_to_gain_and_enough_to_learn_from(
    layer: str, accuracy: float, curve: tuple[float, float], large: bool, strategy: str
) -> None:
    points = list(zip((2000, 4000), curve, strict=True))
    assert decide(evidence(layer, accuracy), "layer4", points, large) == strategy


def test_what_another_data_set_left_in_the_cache_changes_no_advice(photos: Path, cache: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    for hue, name in enumerate(("red", "green")):
        (others / name).mkdir(parents=True)
        for number in range(6):
            picture(5000 + 10 * hue + number, hue).save(others / name / f"{number}.png")
    base = BaseChoice("tiny")
    extract_features(ExtractRequest(str(photos), base, ("layer1", "layer2"), cache=cache))
    request = CompareRequest(str(photos), base, cache=cache)
    alone = advise_layer(request)
    extract_features(ExtractRequest(str(others), base, ("layer3", "layer1"), ("avg", "max"), cache=cache))
    extract_features(ExtractRequest(str(others), BaseChoice("tiny", "random"), ("layer1",), cache=cache))
    assert advise_layer(request) == alone
