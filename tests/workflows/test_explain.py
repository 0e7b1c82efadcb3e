from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import featx as api
from featx.errors import ModelError, UnknownName
from featx.inspection.activation_maps import EXACT, GRADIENT, add_maps
from featx.requests import ExplainRequest
from featx.workflows.explain import list_channels, number_channels

Featx = Callable[..., Any]


@pytest.fixture
def fitted(photos: Path, cache: Path) -> Callable[..., Any]:
    """Fit a classifier on layers of `tiny`."""

    def fit(layer: str, clf: str = "logreg", pooling: str = "avg") -> Any:
        api.extract(photos, base="tiny", layers=layer.split("+"), poolings=[pooling], cache=cache)
        return api.fit(photos, base="tiny", layer=layer, clf=clf, pooling=pooling, cache=cache).model

    return fit


def compute_score(model: Any, photo: Path, cache: Path, photos: Path, code: int) -> float:
    """The score of a class by the classifier itself."""
    data = api.load_features(
        photos, base="tiny", layer="+".join(key.layer for key in model.keys), pooling=model.keys[0].pooling, cache=cache
    )
    row = data.paths.tolist().index(str(photo))
    scores = model.classifier.scores(data.X[row : row + 1])[0]
    return float(scores[code] - (scores[1 - code] if len(scores) == 2 else 0))


@pytest.mark.parametrize("clf", ["logreg", "svm"])
@pytest.mark.parametrize("layer", ["layer3", "layer1+layer2", "layer2+fc"])
def test_the_mean_of_an_exact_map_and_the_intercept_are_the_score(
    fitted: Callable[..., Any], photos: Path, cache: Path, tmp_path: Path, layer: str, clf: str
) -> None:
    model = fitted(layer, clf)
    photo = photos / "green" / "04.png"
    for label in model.classes_:
        (found,) = api.explain(model, photo, out=tmp_path / "maps", label=label).explained
        assert found.method == EXACT
        assert np.mean(found.values) + found.intercept == pytest.approx(found.score, abs=1e-9)
        expected = compute_score(model, photo, cache, photos, model.classes_.index(label))
        assert found.score == pytest.approx(expected, abs=1e-5 * max(1, abs(expected)))
    with Image.open(found.file) as drawn:
        assert drawn.size[0] == 2 * drawn.size[1]


def test_of_two_classes_one_map_is_the_negative_of_the_other(
    fitted: Callable[..., Any], photos: Path, tmp_path: Path
) -> None:
    for path in (photos / "blue").iterdir():
        path.unlink()
    (photos / "blue").rmdir()
    model = fitted("layer2")
    maps = [
        api.explain(model, photos / "red" / "00.png", out=tmp_path, label=label).explained[0]
        for label in ("green", "red")
    ]
    assert np.allclose(maps[0].values, -np.array(maps[1].values))
    assert maps[0].score == pytest.approx(-maps[1].score)


@pytest.mark.parametrize(("clf", "pooling"), [("mlp", "avg"), ("logreg", "max"), ("svm", "pyramid")])
def test_other_maps_are_named_as_what_they_are(
    fitted: Callable[..., Any], photos: Path, cache: Path, tmp_path: Path, clf: str, pooling: str
) -> None:
    model = fitted("layer2", clf, pooling)
    photo = photos / "red" / "01.png"
    (found,) = api.explain(model, photo, out=tmp_path, label="red").explained
    assert found.method == GRADIENT
    assert found.score == pytest.approx(
        compute_score(model, photo, cache, photos, model.classes_.index("red")), rel=1e-4, abs=1e-4
    )
    assert np.ptp(found.values) > 0


def test_the_evidence_lies_where_the_colour_is(fitted: Callable[..., Any], photos: Path, tmp_path: Path) -> None:
    model = fitted("layer1")
    right = 0
    for number in range(12):
        canvas = Image.new("RGB", (96, 96), (60, 60, 60))
        corner = (number % 2, number // 2 % 2)
        with Image.open(photos / "red" / f"{number:02}.png") as photo:
            canvas.paste(photo.resize((48, 48)), (48 * corner[0], 48 * corner[1]))
        canvas.save(tmp_path / "canvas.png")
        (found,) = api.explain(model, tmp_path / "canvas.png", out=tmp_path / "maps", label="red").explained
        right += (int(found.peak[0] > 0.5), int(found.peak[1] > 0.5)) == corner
    assert right >= 11


def test_what_has_no_map_is_one_line(fitted: Callable[..., Any], photos: Path, tmp_path: Path) -> None:
    photo = photos / "red" / "00.png"
    with pytest.raises(ModelError, match="votes of neighbours have no map"):
        api.explain(fitted("layer2", "knn"), photo, out=tmp_path)
    with pytest.raises(ModelError, match="no places"):
        api.explain(fitted("fc"), photo, out=tmp_path)
    with pytest.raises(UnknownName, match="class of the model"):
        api.explain(fitted("layer2"), photo, out=tmp_path, label="rde")


def test_the_command_writes_a_picture_each_and_names_broken_ones(
    featx: Featx, fitted: Callable[..., Any], photos: Path, tmp_path: Path
) -> None:
    fitted("layer2").save(tmp_path / "m.featx")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    words = ("explain", tmp_path / "m.featx", photos / "red" / "00.png", tmp_path / "broken.png", "--out")
    result = featx(*words, tmp_path / "maps", "-q")
    assert result.exit_code == 1
    assert "broken.png" in result.stderr
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["0000-00.png"]
    assert "evidence" in result.stdout
    assert featx("explain", tmp_path / "m.featx", photos).exit_code == 2
    channels = json.loads(featx("explain", tmp_path / "m.featx", "--channels", "--json").stdout)
    assert {each["label"] for each in channels} == {"red", "green", "blue"}
    assert len(channels) == 15


def test_channels_are_ranked_by_weight_and_deviation(fitted: Callable[..., Any]) -> None:
    model = fitted("layer2")
    arrays = dict(model.classifier.arrays)
    arrays["weights"] = np.zeros_like(arrays["weights"])
    arrays["weights"][1, 7] = 1.0
    changed = replace(model, classifier=replace(model.classifier, arrays=arrays))
    effects = [each for each in list_channels(ExplainRequest(changed)) if each.label == model.classes_[1]]
    assert (effects[0].layer, effects[0].channel) == (model.keys[0].layer, 7)
    assert effects[0].effect == pytest.approx(arrays["scale"][7])
    with pytest.raises(ModelError, match="linear classifiers only"):
        list_channels(ExplainRequest(fitted("layer2", "mlp")))


def test_numbers_of_a_feature_belong_to_channels_in_the_order_of_their_pooling() -> None:
    assert number_channels("avg", 3, 3) == [0, 1, 2]
    assert number_channels("avg+max", 4, 2) == [0, 1, 0, 1]
    assert number_channels("pyramid", 10, 2) == [0, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    with pytest.raises(ModelError, match="keeps places"):
        number_channels("flat", 12, 3)


def test_maps_of_several_sizes_add_up_without_changing_their_means() -> None:
    maps = [np.random.default_rng(seed).normal(size=(side, side)) for seed, side in enumerate((7, 4, 2))]
    assert add_maps(maps).mean() == pytest.approx(sum(values.mean() for values in maps))
    assert add_maps(maps).shape == (7, 7)
