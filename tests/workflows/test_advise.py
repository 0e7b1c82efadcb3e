from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from featx.advice.cached import MeasuredLayers
from featx.advice.candidates import Candidate
from featx.advice.wording import give_reasons
from featx.base_choice import BaseChoice
from featx.bases import registry
from featx.bases.architecture import Architecture
from featx.errors import MissingFeatures, RequestError, WeightsError
from featx.evaluation.layer_scores import LayerScore
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.advise import LARGE, OnSample, advise_layer, decide, name_promising
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
    reasons = give_reasons(best, [(2000, 0.89), (4000, 0.9)], [second, best], LARGE)
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
    assert decide(evidence(layer, accuracy), {"layer4"}, points, large) == strategy


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
    assert replace(advise_layer(request), not_measured="") == replace(alone, not_measured="")


@pytest.fixture
def order_of_patches(tmp_path: Path) -> Path:
    """Two classes that differ in the order of two patches only, which no shallow layer sees."""
    root = tmp_path / "patches"
    for order, name in enumerate(("red-green", "green-red")):
        (root / name).mkdir(parents=True)
        for number in range(40):
            generator = np.random.default_rng(100 * order + number)
            pixels = generator.integers(80, 140, (32, 32, 3))
            top = generator.integers(2, 22)
            left = generator.integers(1, 6)
            for place, channel in ((left, order), (left + 16, 1 - order)):
                patch = pixels[top : top + 8, place : place + 8]
                patch[:] = 30
                patch[..., channel] = 230
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number}.png")
    return root


def test_a_better_layer_that_is_not_cached_is_advised_with_its_extraction(
    featx: Featx, order_of_patches: Path, cache: Path
) -> None:
    extract_features(ExtractRequest(str(order_of_patches), BaseChoice("tiny"), ("layer1",), cache=cache))
    request = CompareRequest(str(order_of_patches), BaseChoice("tiny"), cache=cache)
    advice = advise_layer(request)
    assert [layer.layer for layer in advice.layers if layer.cached] == ["layer1"]
    assert (advice.layer, advice.strategy) == ("layer4", "linear")
    assert advice.command.startswith(f"featx extract {order_of_patches} --base tiny --layer layer4 ")
    assert f" && featx fit {order_of_patches} --base tiny --layer layer4 " in advice.command
    (of_layer4,) = [rung for rung in advice.rungs if (rung.layer, rung.pooling, rung.views) == ("layer4", "avg", 1)]
    assert of_layer4.kept
    assert not of_layer4.cached
    assert of_layer4.seconds is not None
    text = featx("advise", order_of_patches, "--base", "tiny", "--cache", cache, "-q").stdout
    assert "Advice: train a linear classifier on layer4, the deepest layer" in text
    assert "layer4 (avg): +" in text


def test_the_deepest_of_the_cached_layers_is_not_the_deepest_layer(
    featx: Featx, order_of_patches: Path, cache: Path
) -> None:
    layers = ("layer1", "layer3")
    extract_features(ExtractRequest(str(order_of_patches), BaseChoice("tiny"), layers, cache=cache))
    words = ("advise", order_of_patches, "--base", "tiny", "--cache", cache, "-q", "--no-sample")
    advice = json.loads(featx(*words, "--json").stdout)
    assert (advice["layer"], advice["strategy"]) == ("layer3", "shallow")
    assert "the deepest layer" not in featx(*words).stdout


@pytest.mark.parametrize(("accuracy", "is_named"), [(0.95, True), (0.91, False)])
def test_beside_several_cached_views_a_layer_that_looks_better_on_a_sample_is_named(
    accuracy: float, is_named: bool
) -> None:
    chosen = evidence("layer3", 0.9)
    views = Candidate(("layer3",), "avg", 6)
    not_cached = replace(evidence("layer4", accuracy), cached=False, images=300)
    named = name_promising(MeasuredLayers([chosen], chosen, [], [], views), OnSample([not_cached]))
    looks_better = "layer4 (avg) looks better, 0.950 on a sample of 300 images: extract it"
    assert named == ([looks_better] if is_named else [])


@pytest.fixture
def cached_views(photos: Path, cache: Path) -> CompareRequest:
    """Every usual layer of tiny, in two views and two poolings."""
    layers = ("layer1", "layer2", "layer3", "layer4")
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny"), layers, ("avg", "max"), cache=cache, views=2))
    return CompareRequest(str(photos), BaseChoice("tiny"), cache=cache)


def test_on_cached_layers_sets_poolings_and_views_are_measured_and_no_sample_is_drawn(
    cached_views: CompareRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing may be run through the base.
    monkeypatch.setattr("featx.advice.sample.load_sample_base", None)
    advice = advise_layer(cached_views)
    assert len(advice.layers) == 8
    assert all(layer.cached for layer in advice.layers)
    assert (advice.similarity, advice.case) == (None, "")
    assert "--sample measures it on 27 images in about" in advice.not_measured
    assert advice.rungs[0].gain is None
    assert {rung.views for rung in advice.rungs} == {1, 2}
    assert all(rung.cached and rung.seconds is None and rung.images == 27 for rung in advice.rungs)
    last_kept = [rung for rung in advice.rungs if rung.kept][-1]
    assert (advice.layer, advice.pooling, advice.views) == (last_kept.layer, last_kept.pooling, last_kept.views)
    assert f"--layer {advice.layer} --clf {advice.clf} --pooling {advice.pooling}" in advice.command
    assert ("--views 2 --test-views 2" in advice.command) == (advice.views == 2)


def test_of_many_images_a_sample_is_measured_and_that_is_said(
    featx: Featx, cached_views: CompareRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featx.advice.cached.MOST_IMAGES", 18)
    monkeypatch.setattr("featx.advice.cached.IMAGES_OF_CLASS", 1)
    advice = advise_layer(cached_views)
    assert advice.images == 27
    assert {layer.images for layer in advice.layers} == {18}
    assert {rung.images for rung in advice.rungs} == {18}
    assert "cross-validated on 18 of 27 training images" in advice.reasons[0]
    assert any(reason.startswith("the last doubling of the training images (to ") for reason in advice.reasons)
    words = ("advise", cached_views.data, "--base", "tiny", "--cache", cached_views.cache, "-q")
    assert featx(*words).stdout.count("18 of 27") >= 8
    monkeypatch.setattr("featx.advice.cached.MOST_IMAGES", 27)
    assert {layer.images for layer in advise_layer(cached_views).layers} == {27}


def test_the_sample_is_run_where_that_is_asked_for(
    featx: Featx, photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("advise", photos, "--base", "tiny", "--cache", cache, "-q", "--json")
    devices: list[str] = []

    def choose(name: str) -> torch.device:
        devices.append(name)
        return torch.device("cpu")

    monkeypatch.setattr("featx.advice.sample.choose_device", choose)
    chosen = featx(*words, "--device", "cuda")
    assert (chosen.exit_code, set(devices)) == (0, {"cuda"})
    assert featx(*words).exit_code == 0
    assert set(devices) == {"cuda", "auto"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_card_that_is_not_there_is_an_error(photos: Path, cache: Path) -> None:
    with pytest.raises(RequestError, match="device 'cuda' is not on this machine"):
        advise_layer(CompareRequest(str(photos), BaseChoice("tiny"), cache=cache, device="cuda"))


def test_the_same_request_gives_the_same_advice(cached_views: CompareRequest) -> None:
    first = advise_layer(cached_views)
    assert all(advise_layer(cached_views) == first for _ in range(2))


@pytest.mark.parametrize("is_cached", [False, True])
def test_what_is_printed_twice_is_the_same_to_the_letter(
    featx: Featx, photos: Path, cache: Path, is_cached: bool
) -> None:
    """Costs of extraction among it, though a clock measured them."""
    if is_cached:
        layers = ("layer1", "layer2", "layer3", "layer4")
        extract_features(ExtractRequest(str(photos), BaseChoice("tiny"), layers, cache=cache))
    for form in ([], ["--json"]):
        words = ("advise", photos, "--base", "tiny", "--cache", cache, "-q", "--sample", *form)
        first, second = (featx(*words).stdout for _ in range(2))
        assert " of extraction, measured on " in first
        assert first == second


def test_on_cached_layers_neither_torch_is_imported_nor_a_process_imports_scikit_learn(
    cached_views: CompareRequest, tmp_path: Path
) -> None:
    """Torch takes as long to import as all measurements take on a small cache, and scikit-learn a second a process."""
    words = ["advise", cached_views.data, "--base", "tiny", "--cache", str(cached_views.cache), "-q"]
    script = (
        "import sys\nfrom featx.cli.main import run\n"
        f"try:\n    run({words!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    in_process = (
        "import sys, featx.advice.cached, featx.advice.tasks\nassert not {'torch', 'sklearn'} & set(sys.modules)"
    )
    for each in (script, in_process):
        done = subprocess.run([sys.executable, "-c", each], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_held_out_labels_change_nothing(tmp_path: Path, cache: Path) -> None:
    """The data set's own split, and labels of its test part that go round."""
    (tmp_path / "pictures").mkdir()
    lines = []
    for number in range(45):
        name = f"pictures/{number}.png"
        picture(number, number % 3).save(tmp_path / name)
        lines.append([name, str(number % 3), "test" if number >= 30 else "train"])
    advices = []
    for shift in (0, 1):
        table = tmp_path / "table.csv"
        rows = [
            [path, str((int(label) + shift) % 3) if split == "test" else label, split] for path, label, split in lines
        ]
        table.write_text("\n".join(",".join(row) for row in [["path", "label", "split"], *rows]))
        request = CompareRequest(str(table), BaseChoice("tiny"), cache=cache)
        extract_features(ExtractRequest(str(table), BaseChoice("tiny"), ("layer1", "layer3", "layer4"), cache=cache))
        advices.append(replace(advise_layer(request, sample=False), not_measured=""))
    assert advices[0] == advices[1]


def test_a_sample_says_what_more_views_are_worth_and_cost(featx: Featx, photos: Path, cache: Path) -> None:
    for name in ("layer1", "layer2", "layer3", "layer4"):
        extract_features(ExtractRequest(str(photos), BaseChoice("tiny"), (name,), cache=cache))
    words = ("advise", photos, "--base", "tiny", "--cache", cache, "-q", "--sample", "--class-weight", "balanced")
    advice = json.loads(featx(*words, "--json").stdout)
    assert advice["similarity"] is not None
    assert advice["not_measured"] == ""
    of_sample = [rung for rung in advice["rungs"] if not rung["cached"]]
    assert [(rung["pooling"], rung["views"]) for rung in of_sample] == [("avg+max", 1), (of_sample[-1]["pooling"], 6)]
    assert all(rung["seconds"] > 0 for rung in of_sample)
    assert any(", 6 views): " in reason and "of extraction, measured on" in reason for reason in advice["reasons"])
    assert advice["command"].endswith(f"--class-weight balanced --out model.featx --cache {cache}")
    if not of_sample[-1]["kept"] and not of_sample[0]["kept"]:
        assert advice["command"].startswith("featx fit")
    else:
        assert advice["command"].startswith("featx extract")
        assert " && featx fit " in advice["command"]


def test_with_nothing_cached_and_no_sample_the_extraction_is_named(photos: Path, cache: Path) -> None:
    with pytest.raises(MissingFeatures, match="holds no features of tiny"):
        advise_layer(CompareRequest(str(photos), BaseChoice("tiny"), cache=cache), sample=False)


@pytest.mark.parametrize("select", ["balanced_accuracy", "log_loss"])
def test_the_figure_that_is_asked_for_decides(cached_views: CompareRequest, select: Any) -> None:
    advice = advise_layer(replace(cached_views, select=select, poolings=("avg",)))
    assert advice.layers[0].cv_rate is not None
    if select == "log_loss":
        assert all(rung.accuracy <= 0 for rung in advice.rungs)
    assert f"--select {select}" in advice.command


@pytest.mark.gpu
@pytest.mark.parametrize("base", ["tiny", "hog"])
def test_a_sample_on_a_gpu_says_what_it_says_on_the_cpu(photos: Path, cache: Path, base: str) -> None:
    on_gpu, on_cpu = (
        advise_layer(CompareRequest(str(photos), BaseChoice(base), cache=cache / device, device=device))
        for device in ("cuda", "cpu")
    )
    assert on_gpu.similarity == pytest.approx(on_cpu.similarity, abs=1e-3)
    assert on_gpu.distances == pytest.approx(on_cpu.distances, abs=1e-3)
    for of_gpu, of_cpu in zip(on_gpu.layers, on_cpu.layers, strict=True):
        assert of_gpu.logme == pytest.approx(of_cpu.logme, abs=1e-2)
