"""The command `featx finetune`: its exit code and its help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.bases.loading import open_base
from featx.files import digest
from featx.keys import FeatureKey
from featx.store.store import FeatureStore

pytestmark = pytest.mark.slow

BROKEN = b"not an image"


@pytest.fixture
def words(photos: Path, cache: Path, tmp_path: Path) -> list[Any]:
    words = [photos, "--base", "tiny", "--weights", "random", "--from", "layer3", "--views", 1, "--cache", cache]
    words += ["--out", tmp_path / "m.featx", "--epochs", 1, "--head", "mlp", "--epochs-head", 1, "--batch-size", 16]
    return words


def break_image(photos: Path, cache: Path, layer: str, pooling: str) -> None:
    """Put a broken image among the photos, with features of one layer: only extraction of other layers fails on it."""
    (photos / "red" / "broken.png").write_bytes(BROKEN)
    key = FeatureKey(open_base(BaseChoice("tiny", "random")).id, layer, pooling)
    digests = np.frombuffer(digest(BROKEN), np.uint8)[None]
    store = FeatureStore(cache)
    shape = next(store.headers(key)).shape
    store.add(key, digests, np.ones((1, *shape[1:]), np.float32), {})


def test_images_that_fail_in_any_extraction_make_the_exit_code_1(
    words: list[Any], photos: Path, cache: Path, featx: Callable[..., Any]
) -> None:
    assert featx("finetune", *words, "--from-cache").exit_code == 0
    break_image(photos, cache, "layer2", "flat")
    result = featx("finetune", *words, "--from-cache")
    assert "broken.png" in result.stderr
    assert result.exit_code == 1
    assert (cache.parent / "m.featx").is_file()


def test_an_experiment_whose_fine_tuning_lost_images_exits_with_1(
    tmp_path: Path, photos: Path, cache: Path, featx: Callable[..., Any]
) -> None:
    text = 'data = "photos"\nbase = "tiny"\nweights = "random"\nlayers = ["layer3"]\nclassifiers = ["svm"]\n'
    text += '[finetune]\nfrom = "layer4"\nepochs = 1\nviews = 1\n'
    (tmp_path / "x.toml").write_text(text)
    assert featx("run", tmp_path / "x.toml", "--cache", cache).exit_code == 0
    break_image(photos, cache, "layer3", "avg")
    result = featx("run", tmp_path / "x.toml", "--cache", cache, "--json")
    assert '"failed": []' in result.stdout.replace("\n", "")
    assert result.exit_code == 1


def test_help_is_in_whole_phrases(featx: Callable[..., Any]) -> None:
    text = featx("finetune", "--help").stdout
    assert "Maximum epochs for the MLP head." in text
    assert "Learning-rate factor per stage below the head." in text
