"""Folders as people have them, through the commands that they type."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

import featx as library

Featx = Callable[..., Any]

BASE = ("--base", "tiny", "--weights", "random", "--layer", "layer2")


def process(folder: Path, *args: object, encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    """Run featx in a process of its own, in a folder."""
    script = "from featx.cli.main import run; run()"
    words = [sys.executable, "-c", script, *map(str, args)]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    environment.pop("FEATX_CACHE", None)
    return subprocess.run(words, capture_output=True, check=False, cwd=folder, env=environment)


def test_a_cache_inside_the_data_never_becomes_a_class(photos: Path) -> None:
    for expected in (b"36 extracted", b"36 cached"):
        done = process(photos, "extract", ".", *BASE)
        assert (done.returncode, expected in done.stdout) == (0, True), done.stderr
    assert b"note: passed over: 1 feature store of featx (cache)" in done.stderr
    fitted = process(photos, "fit", ".", *BASE, "--clf", "logreg", "--json")
    assert json.loads(fitted.stdout)["classes"] == ["blue", "green", "red"]


def test_sidecars_are_one_line_and_failures_only_if_asked(featx: Featx, photos: Path, cache: Path) -> None:
    for number in range(3):
        (photos / "red" / f"{number}.json").write_text("{}")
    result = featx("extract", photos, *BASE, "--cache", cache)
    assert result.exit_code == 0
    assert result.stderr.count("note: passed over: 3 files that are not pictures (.json 3)") == 1
    assert "passed over" not in featx("extract", photos, *BASE, "--cache", cache, "-q").stderr
    strict = featx("extract", photos, *BASE, "--cache", cache, "--strict")
    assert (strict.exit_code, strict.stderr.count("failed: ")) == (1, 3)


def test_what_was_passed_over_stands_in_the_json(featx: Featx, photos: Path, cache: Path) -> None:
    (photos / "@eaDir").mkdir()
    summary = json.loads(featx("extract", photos, *BASE, "--cache", cache, "--json", "-q").stdout)
    assert [(Path(file["path"]).name, file["reason"]) for file in summary["skipped"]] == [("@eaDir", "side folder")]
    assert summary["notes"] == ["passed over: 1 side folder (@eaDir)"]


def test_pictures_without_classes_are_extracted_exported_and_loaded(
    featx: Featx, photos: Path, cache: Path, tmp_path: Path
) -> None:
    data = photos / "red"
    assert featx("extract", data, *BASE, "--cache", cache).exit_code == 0
    assert featx("cache", "export", data, *BASE, "--cache", cache, "--out", tmp_path / "red.h5").exit_code == 0
    with h5py.File(tmp_path / "red.h5") as file:
        assert set(file["labels"].asstr()[:]) == {""}
    features = library.load_features(data, base="tiny", weights="random", layer="layer2", cache=cache)
    assert features.X.shape[0] == len(features.paths) == len(features.train) == 12
    assert features.classes[features.y].tolist() == [""] * 12
    for command in (("fit", data, *BASE, "--clf", "logreg"), ("compare", data, *BASE, "--clf", "logreg")):
        result = featx(*command, "--cache", cache)
        assert result.exit_code == 1
        assert "has no classes: its pictures lie in no class folders" in result.error


@pytest.mark.slow
@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_that_are_not_utf8_work_in_every_command_and_output(photos: Path, encoding: str) -> None:
    folder = photos.parent / os.fsdecode(b"caf\xe9")
    photos.rename(folder)
    (folder / "red").rename(folder / os.fsdecode(b"rosa\xe9"))
    (folder / "blue" / "00.png").rename(folder / "blue" / os.fsdecode(b"\xff.png"))
    (folder / "green").rename(folder / "緑")
    (folder / "緑" / os.fsdecode(b"bad\xfe.png")).write_bytes(b"bad")

    def call(*args: object, code: int = 0) -> bytes:
        done = process(photos.parent, *args, encoding=encoding)
        assert done.returncode == code, done.stderr
        return done.stdout

    call("extract", folder, *BASE, code=1)
    assert len(json.loads(call("extract", folder, *BASE, "--json", code=1))["failed"]) == 1
    call("fit", folder, *BASE, "--clf", "logreg", "--out", folder / "m.featx")
    call("compare", folder, *BASE, "--clf", "logreg", "--csv", folder / "table.csv")
    call("cache", "export", folder, *BASE, "--out", folder / "x.h5")
    call("predict", folder / "m.featx", folder / "blue", "--csv", folder / "labels.csv")
    assert os.fsdecode(b"rosa\xe9") in json.loads(call("fit", folder, *BASE, "--clf", "logreg", "--json"))["classes"]
    text = (folder / "labels.csv").read_text(errors="surrogateescape")
    assert any(row["path"].endswith(os.fsdecode(b"\xff.png")) for row in csv.DictReader(io.StringIO(text)))
    assert b"\xff.png" in call("predict", folder / "m.featx", folder / "blue")


@pytest.mark.parametrize("name", ["01_macosx", "02_testing", "09_mvtec", "11_thumbs", "14_case", "16_sidecars"])
def test_small_inputs_that_were_misread_are_read(featx: Featx, shared: Path, tmp_path: Path, name: str) -> None:
    said = {
        "01_macosx": "passed over: 1 side folder (__MACOSX)",
        "02_testing": "splits: train, test (from folder names: 'testing' is test)",
        "09_mvtec": "splits: train, test (from folder names) inside the class folders",
        "11_thumbs": "passed over: 2 side folders (.ipynb_checkpoints, @eaDir)",
        "14_case": "'Cats' and 'cats'",
        "16_sidecars": "passed over: 25 files that are not pictures (.json 25)",
    }
    data = shutil.copytree(shared / "data" / "found" / name, tmp_path / name)
    result = featx("extract", data, *BASE, "--cache", tmp_path / "cache")
    assert (result.exit_code, said[name] in result.stderr) == (0, True), result.stderr
