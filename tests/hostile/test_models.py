"""Hostile model files: nothing in one is run, opened or downloaded, and no number that it gives is not one."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path

import pytest

from featx.api.models import fit
from featx.base_choice import BaseChoice
from featx.errors import FeatxError
from featx.models.model import load_model
from featx.requests import ExtractRequest
from featx.workflows.extract import extract_features
from tests.hostile.harness import SHORT, STRESS, Harness
from tests.hostile.model_files import CASES, Case
from tests.hostile.test_harness import make_photos

pytestmark = [pytest.mark.slow, pytest.mark.stress]

BROKEN_BEFORE = (
    *("base 'evil.py'", "weights that would be downloaded", "images of 2048 pixels", "100 whole maps"),
    *("a mean of 10**400", "a value range of 10**400", "a lone surrogate in a class", "an accuracy in words"),
    *("an MLP that overflows", "a mean and a std that overflow", "1000 views of large images"),
)
"""Cases that ran code, took memory, gave NaN or ended in a traceback once: part of every short run."""

CHOSEN = [case for number, case in enumerate(CASES) if STRESS or number % SHORT == 0 or case.name in BROKEN_BEFORE]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="module")
def sound(photos: Path) -> bytes:
    cache = photos.parent / "cache"
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny"), ("layer4",), cache=cache))
    fitted = fit(photos, base="tiny", layer="layer4", clf="svm", cache=cache)
    fitted.model.save(photos.parent / "sound.featx")
    return (photos.parent / "sound.featx").read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where commands are run: with a file that says so when it is run."""
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    (tmp_path / "evil").mkdir()
    return tmp_path


def test_the_corpus_is_large_and_its_names_differ() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
    assert {case.name for case in CASES} >= set(BROKEN_BEFORE)


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)
def test_a_hostile_model_is_one_line_or_sound_numbers(
    harness: Harness, case: Case, sound: bytes, photos: Path, folder: Path
) -> None:
    model = folder / "m.featx"
    case.write(model, sound)
    for words in (
        ("predict", model, photos, "--json", "--csv", "labels.csv"),
        ("score", model, photos, "--csv", "labels.csv"),
    ):
        outcome = harness.run(*words, cwd=folder).check()
        assert not (folder / "ran").exists()
        if outcome.code == 0:
            assert case.may_predict, outcome.stdout[:500]
            assert "nan" not in outcome.stdout.lower()
            if words[0] == "predict":
                check_probabilities(outcome.stdout)
            continue
        assert outcome.code == 1, outcome.stderr
        lines = [line for line in outcome.stderr.splitlines() if not line.startswith(("warning: ", "note: "))]
        assert len(lines) == 1, outcome.stderr
        assert lines[0].startswith("error: ")
        assert len(lines[0]) < 6000
        assert outcome.stdout == ""


def check_probabilities(printed: str) -> None:
    """Check that every image has finite probabilities that sum to one."""
    for image in json.loads(printed):
        assert all(math.isfinite(number) and 0 <= number <= 1 for number in image["probabilities"].values())
        assert sum(image["probabilities"].values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_reading_a_hostile_model_raises_our_error_or_gives_a_model(case: Case, sound: bytes, folder: Path) -> None:
    model = folder / "m.featx"
    case.write(model, sound)
    with suppress(FeatxError):
        load_model(model, with_base=False).save(folder / "again.featx")
    assert not (folder / "ran").exists()


def test_a_sound_model_predicts(harness: Harness, sound: bytes, photos: Path, folder: Path) -> None:
    (folder / "m.featx").write_bytes(sound)
    outcome = harness.run("predict", folder / "m.featx", photos, "--json", cwd=folder).check()
    assert outcome.code == 0
    check_probabilities(outcome.stdout)
