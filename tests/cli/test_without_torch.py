"""Where torch is not installed, what needs no network works, and what needs one says so in one line."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import featx
from featx.cli.main import explain_import
from tests.conftest import picture

pytestmark = pytest.mark.slow

HIDING = """\
import sys

class Hider:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Hider())
"""
"""Python without torch: what it is told before anything else, in each of its processes."""

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, a cache of two layers, and a model, all made with torch."""
    root = tmp_path_factory.mktemp("without-torch")
    for hue, name in enumerate(("red", "green", "blue")):
        (root / "photos" / name).mkdir(parents=True)
        for number in range(8):
            picture(hue * 100 + number, hue).save(root / "photos" / name / f"{number:02}.png")
    choice = {"base": "tiny", "cache": root / "cache"}
    featx.extract(root / "photos", layers=["layer2", "layer3"], **choice)
    featx.fit(root / "photos", layer="layer3", clf="logreg", **choice).model.save(root / "with.featx")
    (root / "hiding").mkdir()
    (root / "hiding" / "sitecustomize.py").write_text(HIDING)
    return root


@pytest.fixture
def call(folder: Path) -> Call:
    """Call featx in that folder, in a process that finds no torch."""
    paths = (str(folder / "hiding"), str(Path(__file__).resolve().parents[2]))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    environment.pop("FEATX_CACHE", None)

    def run(*words: str, program: str = "from featx.cli.main import run; run()") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *words]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run


def test_torch_is_hidden(call: Call) -> None:
    assert "No module named 'torch'" in call(program="import torch").stderr


EVALUATING = (
    "compare photos --base tiny -q",
    "compare photos --base tiny --layer layer3 --clf knn --shots 1,2 --draws 2 -q",
    "fit photos --base tiny --layer layer2+layer3 --clf mlp --out without.featx -q",
    "inspect photos --base tiny --layer layer3 -q",
    "report photos --base tiny --out report.html -q",
    "cache verify -q",
    "cache export photos --base tiny --layer layer3 --out features.h5 -q",
)
"""Commands that work on what is cached."""

RUNNING = (
    "layers tiny",
    "extract photos --base tiny --layer layer4",
    "predict with.featx photos",
    "score with.featx photos",
    "similar photos photos/red/00.png --base tiny --layer layer3",
    "explain with.featx photos/red/00.png --out maps",
    "export with.featx --out m.onnx",
    "finetune photos --base tiny --from layer4 --out tuned.featx",
    "auto photos --base tiny --out auto.featx",
    "advise photos --base tiny --sample",
    "run digits",
)
"""Commands that run a network."""

PROGRAM = """\
import sys
from featx.cli.main import run_command, set_up_logging

set_up_logging(0)
for line in sys.argv[1:]:
    print(">>>", line, run_command(line.split()), file=sys.stderr)
"""
"""Carries out commands one after the other, and writes the exit code of each."""


def test_what_is_cached_is_evaluated(call: Call) -> None:
    done = call(*EVALUATING, program=PROGRAM)
    said = done.stderr.splitlines()
    for line in EVALUATING:
        assert f">>> {line} 0" in said, done.stderr


def test_what_runs_a_network_says_in_one_line_what_is_missing(call: Call) -> None:
    done = call(*RUNNING, program=PROGRAM)
    assert "Traceback" not in done.stderr
    said = done.stderr.splitlines()
    for line in RUNNING:
        place = said.index(f">>> {line} 1")
        assert said[place - 1].startswith("error: torch is not installed, which runs networks: pip install"), line


def test_the_doctor_names_it(call: Call) -> None:
    done = call("doctor")
    assert "Traceback" not in done.stderr
    assert "torch" in "".join(line for line in done.stdout.splitlines() if line.startswith("problem"))


def test_python_loads_features_and_fits_models(call: Call) -> None:
    done = call(
        program="import featx\nchoice = {'base': 'tiny', 'layer': 'layer3'}\n"
        "data = featx.load_features('photos', **choice)\nassert data.X.shape == (24, 128)\n"
        "featx.linear.LogisticRegression().fit(data.X, data.y)\n"
        "featx.fit('photos', clf='logreg', **choice).model.save('m.featx')\nfeatx.load_model('m.featx')"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
def test_an_onnx_file_labels_pictures(call: Call, folder: Path) -> None:
    pytest.importorskip("onnxscript")
    featx.export(folder / "with.featx", folder / "m.onnx")
    done = call("predict", "m.onnx", "photos")
    assert done.returncode == 0, done.stderr
    assert "blue" in done.stdout


def test_a_torchvision_of_another_torch_is_named() -> None:
    error = RuntimeError("operator torchvision::nms does not exist")
    assert "built for another torch (operator torchvision::nms does not exist)" in str(explain_import(error))
    assert explain_import(RuntimeError("operator featx::x does not exist")) is None
    assert explain_import(ModuleNotFoundError("No module named 'sklearn'", name="sklearn")) is None
