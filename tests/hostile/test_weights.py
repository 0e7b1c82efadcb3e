"""Files of weights that a stranger made: none runs anything, fills the memory, hangs or ends in a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.conftest import picture
from tests.hostile.harness import SHORT, STRESS, Harness, Outcome
from tests.hostile.weights_corpus import CASES, SOUND

ALWAYS = {"archive-bomb.pth", "tensor-expanded.pth", "pickle-many-mappings.pth", "other-device.pth", "other-pipe.pth"}
"""Cases that once took all memory or hung: in a short run, too."""

EVERYWHERE = [name for name in CASES if name in SOUND or name in ALWAYS or name.startswith(("call-os", "tensor-nan"))]
"""Cases that other commands and bases are given as well."""


def chosen(names: list[str]) -> list[str]:
    """All cases, or a share of them."""
    if STRESS:
        return names
    return [name for number, name in enumerate(names) if number % SHORT == 0 or name in ALWAYS | SOUND]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for hue, name in enumerate(("red", "green")):
        (folder / name).mkdir()
        for number in range(2):
            picture(hue * 10 + number, hue).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def cache(harness: Harness, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of other weights of the same base, for which `fit` asks what the file holds."""
    folder = tmp_path_factory.mktemp("cache")
    words = ("extract", photos, "--base", "tiny", "-l", "layer4", "--cache", folder)
    assert harness.run(*words).code == 0
    return folder


def make_weights(name: str, folder: Path) -> Path:
    path = folder / name
    CASES[name](path)
    return path


def check(outcome: Outcome, name: str, folder: Path) -> None:
    """Nothing ran, and there was either one clear line or what was asked for."""
    outcome.check()
    assert not list(folder.rglob("exploded"))
    assert outcome.code == (0 if name in SOUND else 1), outcome.stderr[-1000:]
    lines = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == outcome.code, outcome.stderr[-1000:]
    assert len(outcome.stderr) < 3000, outcome.stderr[:1000]
    assert "weights_only" not in outcome.stderr
    assert "\x1b" not in outcome.stderr.replace("\x1b[A", "")


@pytest.mark.stress
@pytest.mark.parametrize("name", chosen(list(CASES)))
def test_extraction_takes_foreign_weights_for_data(name: str, harness: Harness, photos: Path, tmp_path: Path) -> None:
    weights = make_weights(name, tmp_path)
    cache = tmp_path / "cache"
    words = ("extract", photos, "--base", "tiny", "--weights", weights, "-l", "layer4", "--cache", cache)
    check(harness.run(*words, cwd=tmp_path), name, tmp_path)
    for part in cache.rglob("part-*.h5"):
        with h5py.File(part) as file:
            assert np.isfinite(file["features"][:]).all()


@pytest.mark.stress
@pytest.mark.parametrize("name", EVERYWHERE if STRESS else sorted(ALWAYS))
@pytest.mark.parametrize("command", ["advise", "fit", "extract-squeezenet1_0", "extract-mobilenet_v2"])
def test_other_commands_and_bases_do_so_too(
    name: str, command: str, harness: Harness, photos: Path, cache: Path, tmp_path: Path
) -> None:
    weights = make_weights(name, tmp_path)
    verb, _, base = command.partition("-")
    words: list[Any] = [verb, photos, "--base", base or "tiny", "--weights", weights, "--cache", cache]
    if verb != "advise":
        words += ["-l", "layer4"]
    if verb == "fit":
        words += ["--clf", "logreg"]
    outcome = harness.run(*words, cwd=tmp_path).check()
    assert not list(tmp_path.rglob("exploded"))
    # Sound ones are those of tiny, with which `advise` has no trouble, and of which `fit` finds no features.
    may_succeed = name in SOUND and command == "advise"
    assert outcome.code == 1 or may_succeed, outcome.stderr[-1000:]
    assert len([line for line in outcome.stderr.splitlines() if line.startswith("error: ")]) == outcome.code
