"""Errors about features that are not cached: the request that computes them, worded without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--base", "resnet50"],
            r"holds no features of resnet50. Run: featx extract digits --base resnet50 --layer layer4",
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
