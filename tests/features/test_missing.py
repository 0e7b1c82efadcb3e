"""Errors about features that are not cached: the request that computes them, worded without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from featx.base_choice import BaseChoice
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features
from tests.conftest import raises_missing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--base", "resnet50"],
            "empty). Run: featx extract digits --base resnet50 --layer layer4 --cache",
        ),
        (["--base", "hog"], "Run: featx extract digits --base hog --layer hog"),
        (
            ["--base", "vit_b_16"],
            "(`featx layers vit_b_16` lists its layers). Run: featx extract digits --base vit_b_16",
        ),
        (["--base", "resnet5"], "unknown base 'resnet5'. Did you mean 'resnet50'"),
        (["--base", "resnet50", "--pooling", "mean"], "unknown pooling 'mean'"),
        (["--base", "resnet50", "--clf", "swm"], "unknown classifier 'swm'. Did you mean 'svm'"),
    ],
)
def test_an_error_of_compare_imports_no_torch(arguments: list[str], message: str, tmp_path: Path) -> None:
    words = ["compare", "digits", *arguments, "--cache", str(tmp_path / "empty")]
    script = (
        "import sys\nfrom featx.cli.main import run\n"
        f"try:\n    run({words!r})\nexcept SystemExit as end:\n    assert end.code == 1\n"
        "sys.exit(3 if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_an_empty_cache_is_told_by_its_whole_path_and_another_by_the_bases_that_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = CompareRequest("digits", BaseChoice("resnet50"))
    with raises_missing(rf"holds no features of resnet50 \(it is empty or not there: {tmp_path}/cache\)"):
        compare_layer_sets(request)
    extract_features(ExtractRequest("digits", BaseChoice("tiny"), ("layer1",)))
    with raises_missing(r"holds no features of resnet50 \(it holds those of tiny\)"):
        compare_layer_sets(request)
    with raises_missing(r"holds no features of tiny \(it holds those of tiny with other weights, another transform"):
        compare_layer_sets(replace(request, base=BaseChoice("tiny", crop=48)))
