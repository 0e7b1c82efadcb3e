"""Forged parts, descriptions of bases, remembered digests and results: each command goes on or says one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xxhash
from numpy.typing import NDArray

from featx.data.digest_cache import HEAD_LINE_BYTES, digest_all, locate_file, make_head
from featx.data.sources import list_images
from featx.errors import BrokenPart, MissingFeatures
from featx.keys import FeatureKey
from featx.store.store import FeatureStore
from tests.conftest import picture
from tests.hostile.forging import BROKEN_PARTS, FOREIGN_HDF5, SPECIAL, state_json, state_result
from tests.hostile.harness import SHORT, STRESS, Harness, Outcome

pytestmark = [pytest.mark.stress, pytest.mark.slow]


@dataclass(frozen=True)
class Sound:
    """A sound cache of two parts, and what it holds."""

    photos: Path
    cache: Path
    key: FeatureKey
    digests: NDArray[np.uint8]
    features: NDArray[Any]
    figures: dict[str, Any]

    def copy(self, root: Path) -> Path:
        """Copy the cache, so that it may be spoilt."""
        shutil.copytree(self.cache, root / "cache")
        return root / "cache"

    def holds_no_wrong_number(self, cache: Path) -> bool:
        """Whether every row that a store gives is the true one."""
        store = FeatureStore(cache)
        for row in range(len(self.digests)):
            try:
                found = store.get(self.key, self.digests[row : row + 1])
            except (BrokenPart, MissingFeatures):
                continue
            # What is not finite is refused by whoever computes with it.
            if np.isfinite(found).all() and not np.array_equal(found, self.features[row : row + 1]):
                return False
        return True

    def is_complete(self, cache: Path) -> bool:
        """Whether a store gives every row as it was."""
        return np.array_equal(FeatureStore(cache).get(self.key, self.digests), self.features)


def extract(harness: Harness, photos: Path, cache: Path) -> Outcome:
    return harness.run("extract", photos, "-b", "tiny", "-l", "layer4", "--cache", cache)


def fit(harness: Harness, photos: Path, cache: Path) -> Outcome:
    return harness.run("fit", photos, "-b", "tiny", "-l", "layer4", "--clf", "logreg", "--cache", cache, "--json")


def read_figures(outcome: Outcome) -> dict[str, Any]:
    """What a fit found, but for its seconds."""
    figures = json.loads(outcome.stdout)
    return {name: figures[name] for name in ("test_accuracy", "cv_accuracy", "macro_f1", "confusion", "params", "dim")}


@pytest.fixture(scope="module")
def sound(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Sound:
    root = tmp_path_factory.mktemp("sound")
    photos = root / "photos"
    for numbers in (range(5), range(5, 10)):
        for hue, name in enumerate(("red", "green")):
            (photos / name).mkdir(parents=True, exist_ok=True)
            for number in numbers:
                picture(hue * 100 + number, hue).save(photos / name / f"{number}.png")
        assert extract(harness, photos, root / "cache").check().code == 0
    store = FeatureStore(root / "cache")
    key = store.keys()[0].key
    digests = np.concatenate([header.digests for header in store.headers(key)])
    assert len(list(store.folder(key).iterdir())) == 2
    shutil.copytree(root / "cache", root / "tried")
    figures = read_figures(fit(harness, photos, root / "tried").check())
    return Sound(photos, root / "cache", key, digests, store.get(key, digests), figures)


def choose(cases: dict[str, Any]) -> list[str]:
    """All names of cases in a long run, else every fifth."""
    return list(cases) if STRESS else list(cases)[::SHORT]


def one_line(outcome: Outcome) -> str:
    """The error of a command that failed, which must be one line."""
    lines = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, outcome.stderr
    return lines[0]


def find_part(cache: Path) -> Path:
    return min(cache.rglob("part-*.h5"))


def check_ls(harness: Harness, sound: Sound, cache: Path) -> None:
    outcome = harness.run("cache", "ls", "--cache", cache).check()
    assert outcome.code == 0
    assert harness.run("cache", "ls", "--json", "--cache", cache).check().code == 0


def check_verify(harness: Harness, sound: Sound, cache: Path) -> None:
    name = find_part(cache).name
    outcome = harness.run("cache", "verify", "--cache", cache).check()
    assert outcome.code == 1
    assert f"{name}: " in outcome.stdout
    assert len(outcome.stdout.splitlines()) == 2, outcome.stdout


def check_clean(harness: Harness, sound: Sound, cache: Path) -> None:
    name = find_part(cache).name
    outcome = harness.run("cache", "clean", "--compact", "--cache", cache).check()
    assert outcome.code == 0
    assert "1 broken part moved" in outcome.stdout
    assert os.path.lexists(cache / "quarantine" / sound.key.folder / name)
    assert harness.run("cache", "verify", "--cache", cache).check().code == 0
    assert sound.holds_no_wrong_number(cache)
    assert extract(harness, sound.photos, cache).check().code == 0
    assert sound.is_complete(cache)


def check_fit(harness: Harness, sound: Sound, cache: Path) -> None:
    outcome = fit(harness, sound.photos, cache).check()
    assert outcome.code == 1
    assert re.search("featx extract|then extract again|compute them again", one_line(outcome))


def check_compare(harness: Harness, sound: Sound, cache: Path) -> None:
    outcome = harness.run("compare", sound.photos, "-b", "tiny", "--clf", "svm", "--cache", cache).check()
    assert outcome.code == 1
    one_line(outcome)


def check_export(harness: Harness, sound: Sound, cache: Path) -> None:
    out = cache.parent / "out.h5"
    words = ("-b", "tiny", "-l", "layer4", "--out", out, "--cache", cache)
    outcome = harness.run("cache", "export", sound.photos, *words).check()
    assert outcome.code == 1
    one_line(outcome)
    assert not out.exists()


def check_extract(harness: Harness, sound: Sound, cache: Path) -> None:
    part = find_part(cache)
    outcome = extract(harness, sound.photos, cache).check()
    if part.is_dir():
        assert "a folder is in the place of" in one_line(outcome)
        return
    assert outcome.code == 0
    assert sound.holds_no_wrong_number(cache)


COMMANDS: dict[str, Callable[[Harness, Sound, Path], None]] = {
    "ls": check_ls,
    "verify": check_verify,
    "clean": check_clean,
    "fit": check_fit,
    "compare": check_compare,
    "export": check_export,
    "extract": check_extract,
}


PAIRS = [(name, command) for name in BROKEN_PARTS for command in COMMANDS]
IN_SHORT = 23
"""In a short run every 23rd pair is tried, so that all commands have their turn."""


@pytest.mark.parametrize(("name", "command"), PAIRS if STRESS else PAIRS[::IN_SHORT])
def test_a_forged_part_is_a_broken_part(
    harness: Harness, sound: Sound, tmp_path: Path, name: str, command: str
) -> None:
    cache = sound.copy(tmp_path)
    BROKEN_PARTS[name](find_part(cache))
    COMMANDS[command](harness, sound, cache)


def read_export(path: Path) -> dict[bytes, NDArray[Any]]:
    with h5py.File(path) as file:
        return dict(zip(map(bytes, file["digests"][()]), file["features"][()], strict=True))


@pytest.mark.parametrize("name", choose(FOREIGN_HDF5))
def test_a_part_of_which_hdf5_reads_something_else_is_read_rightly_and_set_aside(
    harness: Harness, sound: Sound, tmp_path: Path, name: str
) -> None:
    cache = sound.copy(tmp_path)
    FOREIGN_HDF5[name](find_part(cache))
    assert read_figures(fit(harness, sound.photos, cache).check()) == sound.figures
    out = tmp_path / "out.h5"
    words = ("-b", "tiny", "-l", "layer4", "--out", out, "--cache", cache)
    assert harness.run("cache", "export", sound.photos, *words).check().code == 0
    exported = read_export(out)
    for digest, row in zip(sound.digests, sound.features, strict=True):
        assert np.array_equal(exported[digest.tobytes()], row)
    assert extract(harness, sound.photos, cache).check().code == 0
    assert sound.is_complete(cache)
    check_ls(harness, sound, cache)
    check_verify(harness, sound, cache)
    check_clean(harness, sound, cache)


BASE_FILES: dict[str, Callable[[Path], object]] = {
    **SPECIAL,
    "not JSON": lambda path: path.write_text("{"),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\xfd"),
    "a list": lambda path: path.write_text("[]"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "no id": state_json(id=...),
    "id null": state_json(id=None),
    "id a text": state_json(id="tiny"),
    "transform a text": state_json(id={"transform": "large"}),
    "source a number": state_json(source=3),
    "source a list": state_json(source=["a"]),
    "source of half a character": state_json(source="\ud800"),
    "source with a zero byte": state_json(source="a\0b"),
    "source of a megabyte": state_json(source="x" * 2**20),
    "layers null": state_json(layers=None),
    "layers a text": state_json(layers="layer4"),
    "layers of numbers": state_json(layers=[1, 2]),
    "layers of lists": state_json(layers=[["layer4"]]),
    "layers without names": state_json(layers=[{}]),
    "a name that is a number": state_json(layers=[{"name": 4, "alias": ""}]),
    "an alias null": state_json(layers=[{"name": "layer4", "alias": None}]),
    "an alias a list": state_json(layers=[{"name": "layer4", "alias": ["x"]}]),
    "two layers of one name": state_json(layers=[{"name": "layer4", "alias": ""}] * 2),
    "two layers of one alias": state_json(
        layers=[{"name": "layer1", "alias": "layer4"}, {"name": "layer4", "alias": ""}]
    ),
    "a million layers": state_json(layers=[{"name": str(number)} for number in range(10**6)]),
    "is_default_transform a text": state_json(is_default_transform="yes"),
    "is_default_transform a number": state_json(is_default_transform=1),
    "weights_file a number": state_json(weights_file=5),
    "weights_file a list": state_json(weights_file=["/etc/passwd"]),
    "weights_file with a zero byte": state_json(weights_file="/etc/pass\0wd"),
    "a wrong checksum": lambda path: path.write_text(path.read_text().replace("layer4", "layer5")),
    "checksum a number": state_json(checksum=4),
}


@pytest.mark.parametrize("name", choose(BASE_FILES))
def test_a_forged_base_json_is_named_and_written_again(
    harness: Harness, sound: Sound, tmp_path: Path, name: str
) -> None:
    cache = sound.copy(tmp_path)
    (file,) = cache.glob("*/base.json")
    BASE_FILES[name](file)
    check_ls(harness, sound, cache)
    outcome = harness.run("cache", "verify", "--cache", cache).check()
    assert outcome.code == 1
    assert re.search("base.json: is (unreadable|missing)", outcome.stdout)
    assert harness.run("cache", "clean", "--compact", "--cache", cache).check().code == 0
    assert sound.is_complete(cache)
    for words in (
        ("fit", "-l", "layer4", "--clf", "svm"),
        ("compare",),
        ("cache", "export", "-l", "layer4", "-o", tmp_path / "out"),
    ):
        end = 2 if words[0] == "cache" else 1
        outcome = harness.run(*words[:end], sound.photos, "-b", "tiny", *words[end:], "--cache", cache).check()
        assert outcome.code == 1
        assert "holds no features of tiny" in one_line(outcome)
    outcome = extract(harness, sound.photos, cache).check()
    if file.is_dir():
        assert "a folder is in the place of" in one_line(outcome)
        return
    assert "0 extracted" in outcome.stdout + outcome.stderr
    assert read_figures(fit(harness, sound.photos, cache).check()) == sound.figures
    assert harness.run("cache", "verify", "--cache", cache).check().code == 0


MISLEADING_BASE_FILES: dict[str, Callable[[Path], object]] = {
    "nested in a field": state_json(surplus=json.loads("[" * 900 + "]" * 900)),
    "another source": state_json(source="=cmd|' /C calc'!A0"),
    "no layers": state_json(layers=[]),
    "another order": lambda path: state_json(layers=json.loads(path.read_text())["layers"][::-1])(path),
    "weights in a device": state_json(weights_file="/dev/zero"),
    "weights that run": state_json(weights_file="/bin/sh", source="evil.py"),
    "another transform": state_json(is_default_transform=False),
}
"""What has a right checksum and right types: it may mislead about names, and nothing more."""


@pytest.mark.parametrize("name", choose(MISLEADING_BASE_FILES))
def test_a_misleading_base_json_leads_to_no_other_file_and_no_wrong_number(
    harness: Harness, sound: Sound, tmp_path: Path, name: str
) -> None:
    cache = sound.copy(tmp_path)
    (file,) = cache.glob("*/base.json")
    MISLEADING_BASE_FILES[name](file)
    check_ls(harness, sound, cache)
    assert harness.run("cache", "verify", "--cache", cache).check().code == 0
    outcome = fit(harness, sound.photos, cache).check()
    if outcome.code:
        one_line(outcome)
    else:
        assert read_figures(outcome) == sound.figures
    harness.run("compare", sound.photos, "-b", "tiny", "--cache", cache).check()
    assert extract(harness, sound.photos, cache).check().code == 0
    assert sound.is_complete(cache)


def flip(place: int) -> Callable[[Path], object]:
    """Flip a bit, at a place that counts from either end."""

    def forge(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(data)

    return forge


def remember(rows: int) -> Callable[[Path], object]:
    """State so many rows, with a right checksum of what is there."""

    def forge(path: Path) -> None:
        body = path.read_bytes()[HEAD_LINE_BYTES:]
        path.write_bytes(make_head(rows, xxhash.xxh3_128_hexdigest(body)) + body)

    return forge


def save_arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, digests=np.zeros((20, 32), np.uint8), version=2)


MEMORIES: dict[str, Callable[[Path], object]] = {
    **SPECIAL,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "a head alone": lambda path: path.write_bytes(path.read_bytes()[:HEAD_LINE_BYTES]),
    "no rows": remember(0),
    "a row more": remember(21),
    "rows without end": remember(10**12 - 1),
    "a digest flipped": flip(-1),
    "a stamp flipped": flip(HEAD_LINE_BYTES + 32 + 20 * 16 + 1),
    "a name flipped": flip(HEAD_LINE_BYTES + 33),
    "the head flipped": flip(3),
    "an archive": lambda path: path.write_bytes(b"PK\3\4" + bytes(1000)),
    "of an earlier version": save_arrays,
    "a pickle": lambda path: path.write_bytes(b"cposix\nsystem\n(S'true'\ntR."),
}


@pytest.mark.parametrize("name", choose(MEMORIES))
def test_forged_remembered_digests_cost_a_reading_and_nothing_else(
    harness: Harness, sound: Sound, tmp_path: Path, name: str
) -> None:
    cache = sound.copy(tmp_path)
    file = locate_file(cache, list_images(str(sound.photos)))
    digest_all(cache, list_images(str(sound.photos)), now=lambda: time.time_ns() + 10**10)
    MEMORIES[name](file)
    outcome = extract(harness, sound.photos, cache).check()
    assert "0 extracted" in outcome.stdout + outcome.stderr
    assert read_figures(fit(harness, sound.photos, cache).check()) == sound.figures
    assert sound.is_complete(cache)


RESULTS: dict[str, Callable[[Path], object]] = {
    **SPECIAL,
    "not JSON": lambda path: path.write_text("{"),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\xfd"),
    "a list": lambda path: path.write_text("[]"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "a wrong checksum": lambda path: path.write_text(
        path.read_text().replace('"test_accuracy": 1', '"test_accuracy": 0')
    ),
    "request null": state_json(request=None),
    "request of another seed": lambda path: state_json(request=json.loads(path.read_text())["request"] | {"seed": 1})(
        path
    ),
    "result null": state_json(result=None),
    "predicted null": state_json(predicted=None),
    "predicted of numbers without end": state_json(predicted=[10**400] * 5),
    "predicted of 2**63": state_json(predicted=[2**63] * 5),
    "predicted of classes that there are not": state_json(predicted=[7] * 5),
    "predicted negative": state_json(predicted=[-2] * 5),
    "predicted as text": state_json(predicted="00000"),
    "predicted nested": state_json(predicted=[[0]] * 5),
    "predicted of nothing": state_json(predicted=[]),
    "confidence of texts": state_json(confidence=["1"] * 5),
    "confidence that is not a number": state_json(confidence=[float("nan")] * 5),
    "confidence too high": state_json(confidence=[1.5] * 5),
    "degenerate a number": state_json(degenerate=1),
    "checksum a number": state_json(checksum=4),
    "a field of the result more": state_result(surplus=1),
    "params null": state_result(params=None),
    "params of texts": state_result(params={"C": "large"}),
    "params of 400 digits": state_result(params={"C": 10**400}),
    "params of lists": state_result(params={"C": [1]}),
    "accuracy as text": state_result(test_accuracy="1.0"),
    "accuracy that is not a number": state_result(test_accuracy=float("nan")),
    "accuracy too high": state_result(cv_accuracy=2.0),
    "seconds null": state_result(fit_seconds=None),
    "another classifier": state_result(clf="finetuned"),
    "classifier a number": state_result(clf=1),
    "layer a list": state_result(layer=["layer4"]),
    "views 0": state_result(views=0),
}


@pytest.mark.parametrize("name", choose(RESULTS))
def test_a_forged_result_is_computed_again(harness: Harness, sound: Sound, tmp_path: Path, name: str) -> None:
    cache = sound.copy(tmp_path)
    words = ("compare", sound.photos, "-b", "tiny", "-l", "layer4", "--clf", "logreg", "--json", "--cache", cache)
    first = json.loads(harness.run(*words).check().stdout)
    (file,) = (cache / "results").iterdir()
    tuned = file.with_name(f"tuned-{json.loads(file.read_text())['request']['rows'][:16]}-0.json")
    shutil.copy(file, tuned)
    for path in (file, tuned):
        RESULTS[name](path)
    again = json.loads(harness.run(*words).check().stdout)
    untimed = [[{**row, "fit_seconds": 0, "recalled": False} for row in rows] for rows in (first, again)]
    assert untimed[0] == untimed[1]
    assert not any(row["recalled"] for row in again)
    assert read_figures(fit(harness, sound.photos, cache).check()) == sound.figures
