"""Where channels answer: its mean is the cached feature; weights that only a cache names are not opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from featx.base_choice import BaseChoice
from featx.bases.architectures.tiny import tiny
from featx.errors import WeightsError
from featx.evaluation.comparison import open_comparison
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.extract import extract_features
from featx.workflows.report_evidence import answer_rows


def test_the_mean_of_where_a_channel_answers_is_its_feature(photos: Path, tmp_path: Path) -> None:
    choice = BaseChoice("tiny")
    extract_features(ExtractRequest(str(photos), choice, ("layer1", "layer4"), cache=tmp_path))
    comparison = open_comparison(CompareRequest(str(photos), choice, ("layer1", "layer4"), cache=tmp_path))
    places = [("layer1", 3, 0), ("layer4", 7, 0), ("layer4", 8, 5)]
    found = answer_rows(comparison.request, comparison.base, comparison.dataset.listing, places)
    assert set(found) == set(places)
    assert found["layer1", 3, 0].shape == (24, 24)
    for layer, number, row in places[1:]:
        layer_set = next(each for each in comparison.layer_sets if each.name == layer)
        features = comparison.unloaded(layer_set).take(np.array([row]))[0]
        values = found[layer, number, row]
        # Features have length one; maps are as the layer gives them.
        others = answer_rows(
            comparison.request,
            comparison.base,
            comparison.dataset.listing,
            [(layer, other, row) for other in range(len(features))],
        )
        means = np.array([others[layer, other, row].mean() for other in range(len(features))])
        assert np.allclose(means / np.linalg.norm(means), features / np.linalg.norm(features), atol=1e-5)
        assert np.isclose(values.mean(), means[number])


def test_weights_that_only_the_cache_names_are_not_opened(photos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    save_file(tiny().state_dict(), weights)
    named = BaseChoice("tiny", str(weights))
    cache = tmp_path / "cache"
    extract_features(ExtractRequest(str(photos), named, ("layer4",), cache=cache))
    comparison = open_comparison(CompareRequest(str(photos), BaseChoice("tiny"), ("layer4",), cache=cache))
    with pytest.raises(WeightsError, match="opened only where you name it"):
        answer_rows(comparison.request, comparison.base, comparison.dataset.listing, [("layer4", 0, 0)])


@pytest.mark.slow
def test_torch_is_imported_before_threads_begin(photos: Path, tmp_path: Path) -> None:
    """While a thread imports it, scipy fails in others: it asks a half-imported torch for its tensors."""
    cache = tmp_path / "cache"
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny"), ("layer4",), cache=cache))
    words = ["report", str(photos), "--base", "tiny", "--cache", str(cache), "--out", str(tmp_path / "r.html"), "-q"]
    script = (
        "import sys\nfrom featx.processes import background\n"
        "begin = background.Background.__init__\n"
        "def check(self, function):\n"
        "    name = getattr(function, '__name__', '')\n"
        "    if name != 'import_without_compiler':\n"
        "        assert hasattr(sys.modules.get('torch'), 'Tensor'), 'torch is not there yet'\n"
        "    begin(self, function)\n"
        "background.Background.__init__ = check\n"
        f"from featx.cli.main import run\nrun({words!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r.html").is_file()
