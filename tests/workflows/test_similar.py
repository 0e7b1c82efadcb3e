from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import featx as api
from featx.base_choice import BaseChoice
from featx.errors import WeightsError
from featx.requests import ExtractRequest
from featx.workflows.extract import extract_features
from tests.conftest import picture, raises_missing

Featx = Callable[..., Any]


def test_the_nearest_pictures_are_of_the_same_class_and_exact(
    featx: Featx, photos: Path, cache: Path, tmp_path: Path
) -> None:
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny"), ("layer2",), cache=cache))
    picture(777, 1).save(tmp_path / "new.png")
    shutil.copy(photos / "red" / "03.png", tmp_path / "copy.png")
    words = ("similar", photos, tmp_path / "new.png", tmp_path / "copy.png", photos / "blue" / "00.png")
    result = featx(*words, "--base", "tiny", "--cache", cache, "--k", "4", "--json", "-q")
    new, copy, own = json.loads(result.stdout)["images"]
    assert {near["label"] for near in new["neighbours"]} == {"green"}
    assert copy["neighbours"][0] == {"path": str(photos / "red" / "03.png"), "label": "red", "similarity": 1.0}
    assert str(photos / "blue" / "00.png") not in {near["path"] for near in own["neighbours"]}
    assert [len(image["neighbours"]) for image in (new, copy, own)] == [4, 4, 4]
    data = api.load_features(photos, base="tiny", layer="layer2", cache=cache)
    row = data.paths.tolist().index(str(photos / "blue" / "00.png"))
    cosines = data.X @ data.X[row]
    cosines[row] = -1
    assert own["neighbours"][0]["path"] == data.paths[cosines.argmax()]
    assert own["neighbours"][0]["similarity"] == pytest.approx(float(cosines.max()), abs=1e-5)
    assert api.similar(photos, tmp_path / "new.png", base="tiny", cache=cache).images[0].neighbours[0].label == "green"


def test_what_cannot_be_read_is_named_and_the_others_are_found(
    featx: Featx, photos: Path, cache: Path, tmp_path: Path
) -> None:
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny"), ("layer2",), cache=cache))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    words = ("similar", photos, tmp_path / "broken.png", tmp_path / "gone.png", photos / "red" / "00.png")
    result = featx(*words, "--base", "tiny", "--cache", cache, "-q")
    assert result.exit_code == 1
    assert "broken.png: not an image" in result.stderr
    assert "gone.png: " in result.stderr
    assert str(photos / "red" / "00.png") in result.stdout


def test_nothing_cached_says_what_to_extract(photos: Path, cache: Path) -> None:
    with raises_missing("Run: featx extract .* --base tiny"):
        api.similar(photos, photos / "red" / "00.png", base="tiny", cache=cache)


def test_a_file_of_weights_that_only_the_cache_names_is_not_opened(photos: Path, cache: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    from featx.bases.loading import open_base
    from featx.bases.weights import as_arrays

    network = open_base(BaseChoice("tiny", "random")).network
    assert network is not None
    weights = tmp_path / "own.safetensors"
    save_file(as_arrays(network.state_dict()), weights)
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny", str(weights)), ("layer2",), cache=cache))
    picture(777, 1).save(tmp_path / "new.png")
    with pytest.raises(WeightsError, match="add --weights"):
        api.similar(photos, tmp_path / "new.png", base="tiny", cache=cache)
    found = api.similar(photos, tmp_path / "new.png", base="tiny", weights=str(weights), cache=cache)
    assert len(found.images[0].neighbours) == 5
