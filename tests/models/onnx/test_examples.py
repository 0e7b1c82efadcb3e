"""The example for JavaScript gives the labels of `predict`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"
PACKAGES = ("onnxruntime-node", "sharp")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder in which node finds its packages; they come from the npm registry."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "package.json").write_text("{}")
    # Scripts would download what the CPU does not need.
    words = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *PACKAGES]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip("the npm registry cannot be reached")
    shutil.copy(EXAMPLES / "predict.mjs", folder)
    return folder


def test_node_gives_the_labels_of_predict(
    project: Path, exported: Path, featx: Callable[..., Any], photos: Path
) -> None:
    model = exported.with_suffix(".featx")
    result = featx("export", model, "--out", project / "model.onnx", "--with-resize", "--json")
    (project / "model.json").write_text(result.stdout)
    pictures = [str(path) for path in sorted(photos.rglob("*.png"))[::6]]
    words = ["node", "predict.mjs", "model.onnx", "model.json", *pictures]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    expected = json.loads(featx("predict", model, *pictures, "--json", "-q").stdout)
    assert [image["label"] for image in found] == [image["label"] for image in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=0.01)
