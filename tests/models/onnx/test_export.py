"""An exported graph computes what `predict` computes, for every pooling and classifier."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featx
from featx.errors import ModelError, RequestError
from featx.images.transform import to_pixels
from featx.keys import InputTransform
from featx.models.array_classifier import CALIBRATIONS
from featx.models.model import Model, load_model
from featx.models.onnx.model import INPUT_NAME, load_onnx_model
from featx.models.onnx.whole_pictures import OPSET
from tests.conftest import load_base, picture
from tests.models.onnx.making import make_model

pytestmark = pytest.mark.slow

CASES: dict[str, dict[str, Any]] = {
    "logreg": {"pooling": "max", "layers": ("layer2", "layer4")},
    "svm": {"pooling": "avg+max", "classes": 2},
    "mlp": {"pooling": "pyramid", "views": 2},
    "knn": {"pooling": "avg", "views": 3},
    "dummy": {"pooling": "flat"},
}
"""A model of each classifier, and together all poolings of maps, several layers, two classes, and averaged views."""


def compare(model: Model, out: Path, paths: Sequence[Path]) -> float:
    expected = featx.predict(model, list(paths)).labelled
    found = featx.predict(out, list(paths)).labelled
    assert [image.path for image in found] == [str(path) for path in paths]
    differences = []
    for one, other in zip(expected, found, strict=True):
        assert list(one.probabilities) == list(other.probabilities)
        differences += [abs(one.probabilities[name] - other.probabilities[name]) for name in one.probabilities]
    return max(differences)


def test_every_classifier_has_a_case() -> None:
    assert set(CASES) == set(CALIBRATIONS)


@pytest.mark.parametrize("clf", CASES)
def test_onnx_runtime_gives_the_probabilities_of_predict(clf: str, photos: Path, tmp_path: Path) -> None:
    model = make_model(load_base("tiny"), clf, **CASES[clf])
    exported = featx.export(model, tmp_path / "m.onnx")
    assert exported.difference < 1e-4
    assert exported.opset == OPSET
    paths = sorted(photos.rglob("*.png"))[::5]
    assert compare(model, tmp_path / "m.onnx", paths) < 1e-5
    assert exported.facts.input == ("views" if model.views > 2 else "crop")


def test_a_class_token_is_pooled_in_the_graph(photos: Path, tmp_path: Path) -> None:
    base = load_base("vit_b_16", "random")
    model = replace(make_model(base, "logreg", "cls", ("encoder.layers.encoder_layer_0",)), weights="random")
    featx.export(model, tmp_path / "m.onnx")
    assert compare(model, tmp_path / "m.onnx", sorted(photos.rglob("*.png"))[:2]) < 1e-5


def test_half_is_half_the_size_and_nearly_the_same(photos: Path, tmp_path: Path) -> None:
    model = make_model(load_base("tiny"), "logreg")
    whole = featx.export(model, tmp_path / "m.onnx")
    half = featx.export(model, tmp_path / "h.onnx", half=True)
    assert half.bytes < 0.6 * whole.bytes
    assert half.facts.precision == "float16"
    assert 0 < compare(model, tmp_path / "h.onnx", sorted(photos.rglob("*.png"))[::5]) < 1e-2


def test_a_batch_may_have_any_size(exported: Path) -> None:
    opened = load_onnx_model(exported)
    pixels = np.random.default_rng(1).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    (together,) = opened.session.run(None, {INPUT_NAME: pixels})
    np.testing.assert_allclose(together, [opened.compute(one) for one in pixels], atol=1e-6)


def test_the_metadata_say_what_goes_in_and_what_comes_out(exported: Path) -> None:
    import onnx

    proto = onnx.load(exported)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    facts = json.loads(metadata["featx"])
    assert facts["classes"] == json.loads(metadata["classes"]) == ["class 0", "class 1", "class 2"]
    assert facts["transform"]["crop"] == 32
    assert [entry.version for entry in proto.opset_import] == [OPSET]
    assert str(Path(featx.__file__).parent).encode() not in exported.read_bytes()


@pytest.mark.parametrize("views", [1, 6])
def test_a_graph_that_resizes_takes_pictures_of_any_size(views: int, tmp_path: Path) -> None:
    model = make_model(load_base("tiny"), "logreg", views=views)
    exported = featx.export(model, tmp_path / "m.onnx", with_resize=True)
    assert exported.resize is not None
    # Steps of 255: rounded differently here and there.
    assert exported.resize.most <= 1
    assert exported.resize.mean < 0.01
    for seed, size in enumerate([(90, 61), (40, 77), (32, 32), (20, 30)]):
        picture(seed, 0, size).save(tmp_path / f"{seed}.png")
    assert compare(model, tmp_path / "m.onnx", sorted(tmp_path.glob("*.png"))) < 1e-2


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_resizing_in_the_graph_is_that_of_pillow(interpolation: str) -> None:
    from featx.models.onnx.model import open_session
    from featx.models.onnx.whole_pictures import build_resizing

    transform = InputTransform(40, 33, interpolation)
    session = open_session(build_resizing(transform))
    # Margins that are even, odd, and whose half is odd.
    for size in [(120, 90), (91, 120), (41, 40), (43, 40), (45, 61), (20, 31)]:
        shown = picture(3, 1, size)
        (found,) = session.run(None, {INPUT_NAME: np.asarray(shown)[None]})
        difference = np.abs(found[0].astype(int) - to_pixels(shown, transform))
        if interpolation == "nearest":
            # A place between two pixels goes to the one or the other, since ONNX Runtime rounds its scale to float32.
            assert (difference > 0).mean() < 0.1, size
        else:
            assert difference.max() <= 1, size


def test_the_command_says_what_it_wrote(exported: Path, featx: Callable[..., Any], tmp_path: Path) -> None:
    model = tmp_path / "m.featx"
    shutil.copy(exported.with_name("m.featx"), model)
    result = featx("export", model, "--out", tmp_path / "m.onnx")
    assert "takes (n, 32, 32, 3) uint8, gives (n, 3) probabilities" in result.stdout
    assert (tmp_path / "m.onnx").read_bytes() == exported.read_bytes()
    as_json = json.loads(featx("export", model, "--out", tmp_path / "m.onnx", "--json").stdout)
    assert as_json["classes"] == list(load_model(model).classes_)


def test_openvino_runs_the_same_graph(photos: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    model = make_model(load_base("tiny"), "svm")
    exported = featx.export(model, tmp_path / "m.xml", to="openvino")
    assert exported.difference < 1e-4
    # Left alone, it computes in bfloat16 where the processor has it.
    network = openvino.Core().compile_model(tmp_path / "m.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (path,) = sorted(photos.rglob("*.png"))[:1]
    from PIL import Image

    pixels = to_pixels(Image.open(path).convert("RGB"), model.transform)
    (found,) = network(pixels[None]).values()
    (expected,) = featx.predict(model, path).labelled
    np.testing.assert_allclose(found[0], list(expected.probabilities.values()), atol=1e-4)


def test_what_no_graph_holds_is_refused_in_one_line(tmp_path: Path) -> None:
    model = make_model(load_base("tiny"), "logreg", views=7)
    with pytest.raises(RequestError, match="averages 7 views, and those after the first 6 are drawn at random"):
        featx.export(model, tmp_path / "m.onnx", with_resize=True)
    with pytest.raises(RequestError, match=r"ends in \.onnx, not as '.*m\.featx' does"):
        featx.export(model, tmp_path / "m.featx")
    base = load_base("hog")
    hog = replace(make_model(base, "logreg", "flat", (base.layers[-1].name,)), weights=base.source)
    with pytest.raises(RequestError, match="'hog' is computed by scikit-image"):
        featx.export(hog, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_file_is_not_taken_for_a_model_that_can_be_scored(exported: Path) -> None:
    with pytest.raises(ModelError, match="is an ONNX file, which featx predict runs"):
        featx.export(exported, exported.with_name("again.onnx"))
