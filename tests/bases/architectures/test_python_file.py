from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featx.base_choice import BaseChoice
from featx.bases.registry import resolve
from featx.errors import RequestError
from tests.conftest import load_base

NETWORK = """
from torch import nn

transform = {"resize": 40, "crop": 32}

def stages():
    return [
        ("body.0", nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())),
        ("body.1", nn.Conv2d(8, 16, 3, 2, 1)),
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
    ]
"""
Featx = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "my_net.py").write_text(NETWORK)
    return tmp_path / "my_net.py"


def test_a_file_with_stages_is_a_base(file: Path) -> None:
    base = load_base(str(file))
    assert [(layer.name, layer.shape) for layer in base.layers][:2] == [("body.0", (8, 16, 16)), ("body.1", (16, 8, 8))]
    assert base.layers == resolve(BaseChoice(str(file))).layers()
    assert (base.id.transform.resize, base.id.transform.crop) == (40, 32)
    assert base.id == load_base(str(file)).id
    assert base.id.folder.startswith("my_net.py@")


def test_a_changed_file_is_another_base(file: Path) -> None:
    before = load_base(str(file)).id
    file.write_text(NETWORK.replace("nn.ReLU", "nn.Tanh"))
    assert load_base(str(file)).id.weights == before.weights
    assert load_base(str(file)).id != before


def test_it_goes_through_extract_and_compare(featx: Featx, file: Path, photos: Path, cache: Path) -> None:
    words = (photos, "--base", file, "--cache", cache, "-q")
    assert featx("extract", *words, "--layer", "body.1").exit_code == 0
    (row,) = json.loads(featx("compare", *words, "--clf", "logreg", "--json").stdout)
    assert (row["layer"], row["dim"]) == ("body.1", 16)
    assert len(json.loads(featx("layers", file, "--json").stdout)) == 4


def test_predict_runs_the_file_only_if_it_is_named(featx: Featx, file: Path, photos: Path, cache: Path) -> None:
    model, words = file.with_name("m.featx"), (photos, "--base", file, "--cache", cache, "-l", "body.1", "-q")
    assert featx("extract", *words).exit_code == 0
    assert featx("fit", *words, "--clf", "logreg", "--out", model).exit_code == 0
    unnamed = featx("predict", model, photos, "-q")
    assert unnamed.error.endswith("a Python file runs only where it is named: add --base my_net.py")
    assert "\n" not in unnamed.error
    named = featx("predict", model, photos, "--base", file, "--json", "-q")
    assert len(json.loads(named.stdout)) == 36
    file.write_text(NETWORK.replace("nn.ReLU", "nn.Tanh"))
    other = featx("predict", model, photos, "--base", file, "-q")
    assert re.search(r"my_net.py@\w{12}\) is not the base .* my_net.py@\w{12}. Name that version", other.error)


def test_a_base_that_is_no_file_need_not_be_named(featx: Featx, photos: Path, cache: Path, tmp_path: Path) -> None:
    words = (photos, "--base", "tiny", "--weights", "random", "--cache", cache, "-l", "layer1", "-q")
    assert featx("extract", *words).exit_code == 0
    assert featx("fit", *words, "--clf", "logreg", "--out", tmp_path / "m.featx").exit_code == 0
    assert featx("predict", tmp_path / "m.featx", photos, "--base", "tiny", "-q").exit_code == 0
    other = featx("predict", tmp_path / "m.featx", photos, "--base", "resnet18", "-q")
    assert other.error.endswith("trained on: tiny. Leave out --base")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", r"has no function stages\(\): it must return a list of \(name, module\)"),
        ("import no_such_module", "fails when it is run: ModuleNotFoundError: No module named 'no_such_module'"),
        ("transform = {'side': 3}\ndef stages(): return []", "states an invalid transform"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(RequestError, match=message):
        load_base(str(tmp_path / "wrong.py"))


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="base .*gone.py' cannot be read: No such file"):
        load_base(str(tmp_path / "gone.py"))
