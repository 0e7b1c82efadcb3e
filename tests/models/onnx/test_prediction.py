"""`featx predict` with an ONNX file: the same columns, without torch, and soon."""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featx.errors import ModelError, RequestError
from featx.requests import PredictRequest
from featx.workflows.predict import label_images

pytestmark = pytest.mark.slow

Featx = Callable[..., Any]


def test_the_output_is_that_of_a_featx_model(exported: Path, featx: Featx, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "broken.png").write_bytes(b"nothing")
    tables = []
    for model in (exported, exported.with_suffix(".featx")):
        result = featx("predict", model, photos, "--csv", tmp_path / "labels.csv", "--json", "-q")
        assert result.exit_code == 1
        with (tmp_path / "labels.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        tables.append([[row["path"], row["label"], row["reason"]] for row in rows])
        assert list(rows[0]) == [
            *("path", "label", "probability", "p(class 0)", "p(class 1)", "p(class 2)", "reason", "strangeness"),
        ]
        assert [entry["path"] for entry in json.loads(result.stdout)] == [row["path"] for row in rows]
    assert len(tables[0]) == 37
    assert tables[0] == tables[1]


def test_no_torch_is_imported_and_a_picture_takes_less_than_a_second_of_a_core(exported: Path, photos: Path) -> None:
    words = ["predict", str(exported), str(photos / "red" / "00.png")]
    script = (
        "import sys\nfrom featx.cli.main import run\n"
        f"try:\n    run({words!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'torchvision', 'onnx', 'sklearn', 'scipy', 'h5py'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "probability" in done.stdout
    # Nothing is said of what no ONNX file can do.
    assert "strangers" not in done.stderr
    # Seconds of a core: machines that run tests have other work, and it takes 0.4.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


@pytest.mark.parametrize(
    ("option", "flag"),
    [
        ({"weights": "random"}, "--weights"),
        ({"base": "b.py"}, "--base"),
        ({"device": "cuda"}, "--device cuda"),
        ({"batch_size": 4}, "--batch-size"),
    ],
)
def test_options_that_mean_nothing_are_refused(exported: Path, photos: Path, option: dict[str, Any], flag: str) -> None:
    with pytest.raises(RequestError, match=f"holds all that it needs.*leave out {flag}"):
        label_images(PredictRequest(exported, [str(photos)], **option))


@pytest.mark.parametrize("option", ["reject", "sets"])
def test_what_an_onnx_file_cannot_tell_is_refused_with_what_to_do(exported: Path, photos: Path, option: str) -> None:
    request = PredictRequest(exported, [photos], **{option: 0.5})
    with pytest.raises(ModelError, match="name the model of featx that it was made of"):
        label_images(request)
