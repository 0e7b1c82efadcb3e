"""The same commands on a folder and on a bucket give the same features and the same figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.storage.interface import storage_of
from featx.storage.paths import CachePath
from featx.store.paths import list_key_folders, list_parts
from featx.store.store import FeatureStore

Featx = Callable[..., Any]
BASE = ("--base", "tiny", "--weights", "random")


def run(featx: Featx, *words: object) -> Any:
    result = featx(*words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in words else result.stdout


def read_features(cache: CachePath) -> dict[str, dict[bytes, bytes]]:
    """Folder of a key to digest to the bytes of the feature."""
    store = FeatureStore(cache)
    read = {}
    for summary in store.keys():
        digests = np.concatenate([header.digests.copy() for header in store.headers(summary.key)])
        rows = zip(digests, store.get(summary.key, digests), strict=True)
        read[summary.key.folder] = {digest.tobytes(): row.tobytes() for digest, row in rows}
    return read


@pytest.mark.slow
def test_commands_give_on_every_place_what_they_give_on_a_folder(
    place: CachePath, featx: Featx, photos: Path, tmp_path: Path
) -> None:
    local = tmp_path / "local"
    extract = ("extract", photos, *BASE, "-l", "layer2", "-l", "layer4", "--json")
    run(featx, *extract, "--cache", local)
    assert run(featx, *extract, "--cache", place)["extracted"] == 36
    assert run(featx, *extract, "--cache", place)["extracted"] == 0
    features = read_features(place)
    assert len(features) == 2
    assert features == read_features(local)

    compare = ("compare", photos, *BASE, "--clf", "logreg", "--json")
    rows = run(featx, *compare, "--cache", place)
    expected = run(featx, *compare, "--cache", local)
    # Other parts have other headers.
    varying = {"fit_seconds", "ms_per_image", "megabytes"}
    for row, other in zip(rows, expected, strict=True):
        assert {name: row[name] for name in row if name not in varying} == {
            name: other[name] for name in other if name not in varying
        }
    assert len(storage_of(place).list_files(place / "results")) == 2
    # From the result that lies there.
    again = run(featx, *compare, "--cache", place)
    assert [row["fit_seconds"] for row in again] == [row["fit_seconds"] for row in rows]

    run(featx, "cache", "export", photos, *BASE, "-l", "layer4", "--out", tmp_path / "a.h5", "--cache", place)
    run(featx, "cache", "export", photos, *BASE, "-l", "layer4", "--out", tmp_path / "b.h5", "--cache", local)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()

    assert run(featx, "cache", "verify", "--json", "--cache", place)["problems"] == []
    assert len(run(featx, "cache", "ls", "--json", "--cache", place)) == 2
    compacted = run(featx, "cache", "clean", "--compact", "--json", "--cache", place)["compacted"]
    assert len(compacted) == (2 if isinstance(place, Path) else 0)
    assert read_features(place) == features
    for key in run(featx, "cache", "ls", "--json", "--cache", place):
        run(featx, "cache", "rm", key["folder"], "--yes", "--cache", place)
    assert "holds no features yet" in run(featx, "cache", "ls", "--cache", place)


@pytest.mark.slow
def test_broken_parts_are_put_aside_and_computed_again(place_of_moves: CachePath, featx: Featx, photos: Path) -> None:
    place = place_of_moves
    extract = ("extract", photos, *BASE, "-l", "layer2", "--json", "--cache", place)
    run(featx, *extract)
    features = read_features(place)
    storage = storage_of(place)
    (folder,) = list_key_folders(place)
    path = list_parts(folder)[0]
    data = bytearray(storage.read_file(path, 10**9, "a part"))
    data[-20] ^= 1
    storage.write_file(path, [data])
    assert featx("cache", "verify", "--cache", place).exit_code == 1
    (moved,) = run(featx, "cache", "clean", "--json", "--cache", place)["quarantined"]
    assert moved["to"] == str(place / "quarantine" / folder.parent.parent.name / "layer2" / "avg" / path.name)
    assert "fail their checksum" in moved["problem"]
    assert run(featx, "cache", "verify", "--json", "--cache", place)["problems"] == []
    # In a bucket all of them are one part.
    assert run(featx, *extract)["extracted"] in ((4, 32) if isinstance(place, Path) else (36,))
    assert read_features(place) == features
