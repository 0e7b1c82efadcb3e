from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from featx.base_choice import BaseChoice
from featx.bases.architectures.python_file import architecture_name
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


WITH_HELPERS = """
from blocks import body

def stages():
    from parts.more.tail import tail
    return [("body", body()), ("tail", tail())]
"""


@pytest.fixture
def file_with_helpers(tmp_path: Path) -> Path:
    """A file, a module beside it, a package, and a package without `__init__.py` in that."""
    (tmp_path / "parts" / "more").mkdir(parents=True)
    texts = {
        "my_net.py": WITH_HELPERS,
        "blocks.py": "from torch import nn\ndef body(): return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())\n",
        "parts/__init__.py": "WIDTH = 16\n",
        "parts/more/tail.py": "from torch import nn\nfrom .. import WIDTH\ndef tail(): return nn.Conv2d(8, WIDTH, 1)\n",
        "unused.py": "raise SystemExit\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path / "my_net.py"


def test_a_file_alone_has_the_key_that_it_always_had(file: Path) -> None:
    (file.parent / "torch.pyi").write_text("")
    (file.parent / "json.py").write_text("raise SystemExit")
    assert architecture_name(str(file)) == f"my_net.py@{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


def test_modules_beside_a_file_are_imported_and_count_in_its_key(file_with_helpers: Path) -> None:
    base = load_base(str(file_with_helpers))
    assert [layer.shape[0] for layer in base.layers] == [8, 16]
    names = {base.id.architecture}
    folder = file_with_helpers.parent
    # Of the same length and in the same second, so that a compiled file would pass for theirs.
    for name, old, new in (
        ("blocks.py", "nn.ReLU", "nn.Tanh"),
        ("parts/__init__.py", "16", "24"),
        ("parts/more/tail.py", "Conv2d(8, WIDTH, 1)", "Conv2d(8, WIDTH, 3)"),
    ):
        (folder / name).write_text((folder / name).read_text().replace(old, new))
        base = load_base(str(file_with_helpers))
        names.add(base.id.architecture)
    assert len(names) == 4
    assert base.layers[1].shape[0] == 24
    assert isinstance(base.stages[0].module[1], nn.Tanh)  # type: ignore[index]
    (folder / "unused.py").write_text("")
    assert architecture_name(str(file_with_helpers)) in names


def test_two_networks_have_each_their_own_helper_of_one_name(file_with_helpers: Path, tmp_path: Path) -> None:
    shutil.copytree(file_with_helpers.parent, tmp_path / "other", ignore=shutil.ignore_patterns("other"))
    blocks = tmp_path / "other" / "blocks.py"
    blocks.write_text(blocks.read_text().replace("ReLU", "Tanh"))
    first, second = load_base(str(file_with_helpers)), load_base(str(tmp_path / "other" / "my_net.py"))
    assert isinstance(first.stages[0].module[1], nn.ReLU)  # type: ignore[index]
    assert isinstance(second.stages[0].module[1], nn.Tanh)  # type: ignore[index]
    assert "blocks" not in sys.modules


def test_a_changed_helper_reuses_no_features(featx: Featx, file_with_helpers: Path, photos: Path, cache: Path) -> None:
    words = ("extract", photos, "--base", file_with_helpers, "--cache", cache, "-l", "body", "-q")
    assert "36 extracted" in featx(*words).output
    assert "36 cached, 0 extracted" in featx(*words).output
    blocks = file_with_helpers.with_name("blocks.py")
    blocks.write_text(blocks.read_text().replace("ReLU", "Tanh"))
    assert "0 cached, 36 extracted" in featx(*words).output


def test_an_import_that_the_text_does_not_show_is_refused(
    file_with_helpers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(file_with_helpers.parent))
    hidden = "import importlib\nimportlib.import_module('blo' + 'cks')\ndef stages(): return []\n"
    file_with_helpers.write_text(hidden)
    with pytest.raises(RequestError, match="'blocks' in a way that its text does not show.*write import blocks"):
        load_base(str(file_with_helpers))
    file_with_helpers.write_text(hidden.replace("'blo' + 'cks'", "'blocks'"))
    sys.modules.pop("blocks", None)
    assert resolve(BaseChoice(str(file_with_helpers))).name.startswith("my_net.py@")


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.py")
    with pytest.raises(RequestError, match="net.py' is not a file"):
        architecture_name(str(tmp_path / "net.py"))


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
