from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import Result

from featx.keys import FeatureKey
from featx.store.store import FeatureStore
from tests.store.samples import BASE, KEY, OTHER, features_of, fill, make_digests, part_files

Featx = Callable[..., Result]


@pytest.fixture
def extracted(photos: Path, cache: Path, featx: Featx) -> Path:
    done = featx("extract", photos, "-b", "tiny", "--weights", "random", "-l", "layer2", "--cache", cache, "-q")
    assert done.exit_code == 0
    return photos


def error(result: Result) -> str:
    assert result.exit_code == 1
    return str(result.error)  # type: ignore[attr-defined]


def test_ls_shows_a_row_a_key(cache: Path, featx: Featx) -> None:
    fill(cache)
    fill(cache, parts=1, key=OTHER)
    lines = featx("cache", "ls", "--cache", cache).stdout.splitlines()
    assert len(lines) == 4
    assert lines[2].split()[:8] == [KEY.folder, "random", "32", "of", "32", "px", "60", "24"]
    listed = json.loads(featx("cache", "ls", "--cache", cache, "--json").stdout)
    assert [(row["folder"], row["images"], row["seconds"]) for row in listed] == [
        (KEY.folder, 60, 4.5),
        (OTHER.folder, 20, 1.5),
    ]


def test_an_empty_cache_is_said_to_be_empty(cache: Path, featx: Featx) -> None:
    assert "holds no features yet" in featx("cache", "ls", "--cache", cache).stdout
    assert featx("cache", "verify", "--cache", cache).exit_code == 0


def test_verify_reports_every_problem_and_fails(cache: Path, featx: Featx) -> None:
    fill(cache)
    assert featx("cache", "verify", "--cache", cache).stdout.endswith(": no problems\n")
    for path in part_files(cache)[:2]:
        path.write_bytes(path.read_bytes()[:-1])
    result = featx("cache", "verify", "--cache", cache, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["parts"], report["rows"]) == (3, 20)
    assert [set(problem) for problem in report["problems"]] == [{"path", "problem"}] * 2
    plain = featx("cache", "verify", "--cache", cache)
    assert plain.exit_code == 1
    assert plain.stdout.endswith("3 parts, 20 sound rows, 0.0 MB: 2 problems\n")


def test_one_part_is_not_called_parts(cache: Path, featx: Featx) -> None:
    fill(cache, parts=1)
    assert featx("cache", "verify", "--cache", cache).stdout.startswith("1 part, 20 sound rows, ")
    part_files(cache)[0].write_bytes(b"")
    assert featx("cache", "verify", "--cache", cache).stdout.endswith("1 part, 0 sound rows, 0.0 MB: 1 problem\n")
    assert featx("cache", "clean", "--cache", cache).stdout.endswith(
        "0 unfinished files removed, 1 broken part moved\n"
    )


def test_clean_puts_broken_parts_aside_and_compacts(cache: Path, featx: Featx) -> None:
    fill(cache)
    part_files(cache)[0].write_bytes(b"")
    report = json.loads(featx("cache", "clean", "--compact", "--cache", cache, "--json").stdout)
    assert [moved["problem"] for moved in report["quarantined"]] == ["is empty: it does not begin as parts of featx do"]
    assert [(merge["before"], merge["after"]) for merge in report["compacted"]] == [(2, 1)]
    again = featx("cache", "clean", "--compact", "--cache", cache)
    assert again.stdout == "0 unfinished files removed, 0 broken parts moved, 0 small parts merged into 0\n"
    assert featx("cache", "verify", "--cache", cache).exit_code == 0


def test_rm_asks_first(cache: Path, featx: Featx) -> None:
    from click.testing import CliRunner

    from featx.cli.main import main

    fill(cache)
    refused = CliRunner().invoke(main, ["cache", "rm", KEY.folder, "--cache", str(cache)], input="n\n")
    assert refused.exit_code == 1
    assert f"{KEY.folder}: 60 images" in refused.stderr
    assert len(part_files(cache)) == 3
    agreed = CliRunner().invoke(main, ["cache", "rm", KEY.folder, "--cache", str(cache)], input="y\n")
    assert agreed.exit_code == 0
    assert not part_files(cache)


def test_rm_takes_a_whole_base_and_nothing_beside_it(cache: Path, featx: Featx) -> None:
    fill(cache)
    fill(cache, key=OTHER)
    fill(cache, key=FeatureKey(BASE, "layer3", dtype="float16"))
    featx("cache", "rm", f"{BASE.folder}/layer3/avg", "--yes", "--cache", cache)
    assert {s.key.folder for s in FeatureStore(cache).keys()} == {OTHER.folder, f"{KEY.folder}.float16"}
    result = featx("cache", "rm", BASE.folder, "--yes", "--json", "--cache", cache)
    assert len(json.loads(result.stdout)["removed"]) == 2
    assert not list(cache.iterdir())


@pytest.mark.parametrize("asked", ["nothing", "tiny", "../..", "", "/"])
def test_rm_of_an_unknown_key_lists_what_is_there(cache: Path, featx: Featx, asked: str) -> None:
    fill(cache)
    assert f"There are: {KEY.folder}." in error(featx("cache", "rm", asked, "--yes", "--cache", cache))
    assert len(part_files(cache)) == 3


def read(out: Path) -> dict[str, Any]:
    with h5py.File(out) as file:
        text = {name: list(file[name].asstr()) for name in ("labels", "paths", "split")}
        return {**text, "features": file["features"][()], "digests": file["digests"][()], **file.attrs}


def test_export_joins_rows_and_features_into_one_plain_file(
    extracted: Path, cache: Path, featx: Featx, tmp_path: Path
) -> None:
    shutil.copy(extracted / "red" / "00.png", extracted / "blue" / "again ü.png")
    out = tmp_path / "new folder" / "out.h5"
    words = ["cache", "export", extracted, "-b", "tiny", "-l", "layer2", "--cache", cache, "--out", out]
    assert featx(*words).exit_code == 0
    found = read(out)
    assert found["labels"].count("blue") == 13
    assert [Path(path).parent.name for path in found["paths"]] == found["labels"]
    assert found["split"] == [""] * 37
    key = FeatureKey.from_json(found["key"])
    assert np.array_equal(FeatureStore(cache).get(key, found["digests"]), found["features"])
    first, again = (
        found["paths"].index(str(extracted / "red" / "00.png")),
        found["paths"].index(str(extracted / "blue" / "again ü.png")),
    )
    assert np.array_equal(found["features"][first], found["features"][again])
    before = out.read_bytes()
    report = json.loads(featx(*words, "--json").stdout)
    assert (report["images"], report["left_out"], report["bytes"]) == (37, 0, len(before))
    assert out.read_bytes() == before


def test_export_leaves_broken_images_out_and_names_them(
    extracted: Path, cache: Path, featx: Featx, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (extracted / "red" / "broken.png").write_text("no image")
    words = ["cache", "export", extracted, "-b", "tiny", "-l", "layer2", "--cache", cache, "--out", tmp_path / "o.h5"]
    assert json.loads(featx(*words, "--json").stdout)["left_out"] == 1
    assert any("broken.png' is left out" in record.message for record in caplog.records)


def test_export_of_what_is_not_cached_says_what_to_run(
    extracted: Path, cache: Path, featx: Featx, tmp_path: Path
) -> None:
    out = tmp_path / "o.h5"
    words = ["cache", "export", extracted, "-b", "tiny", "--cache", cache, "--out", out]
    assert "layer 'layer4' of tiny is not cached. Run: featx extract" in error(featx(*words, "-l", "layer4"))
    assert "--pooling max" in error(featx(*words, "-l", "layer2", "--pooling", "max"))
    assert "--store-dtype float16" in error(featx(*words, "-l", "layer2", "--store-dtype", "float16"))
    assert "Did you mean 'layer2'?" in error(featx(*words, "-l", "laier2"))
    assert not out.exists()


def test_export_asks_which_of_two_poolings(extracted: Path, cache: Path, featx: Featx, tmp_path: Path) -> None:
    extract = ["extract", extracted, "-b", "tiny", "--weights", "random", "-l", "layer2", "--cache", cache, "-q"]
    assert featx(*extract, "--pooling", "flat", "--store-dtype", "float16").exit_code == 0
    words = ["cache", "export", extracted, "-b", "tiny", "-l", "layer2", "--cache", cache, "--out", tmp_path / "o.h5"]
    assert "an export holds one key, but these fit" in error(featx(*words))
    assert featx(*words, "--pooling", "flat").exit_code == 0
    found = read(tmp_path / "o.h5")
    assert found["features"].shape == (36, 64, 16, 16)
    assert found["features"].dtype == np.float16


def test_export_to_where_it_cannot_be_written_is_one_clear_error(extracted: Path, cache: Path, featx: Featx) -> None:
    words = ["cache", "export", extracted, "-b", "tiny", "-l", "layer2", "--cache", cache, "--out"]
    assert "cannot be written: Is a directory" in error(featx(*words, extracted))
    assert "a file is in the way" in error(featx(*words, extracted / "red" / "00.png" / "o.h5"))


def test_export_of_a_damaged_part_is_one_clear_error(
    extracted: Path, cache: Path, featx: Featx, tmp_path: Path
) -> None:
    path = part_files(cache)[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    words = ["cache", "export", extracted, "-b", "tiny", "-l", "layer2", "--cache", cache, "--out", tmp_path / "o.h5"]
    assert "Run `featx cache clean`, then extract again" in error(featx(*words))
    assert not list(tmp_path.glob("*o.h5"))


def test_half_numbers_are_judged_like_whole_ones_and_whole_ones_come_first(
    extracted: Path, cache: Path, featx: Featx
) -> None:
    extract = ["extract", extracted, "-b", "tiny", "--weights", "random", "-l", "layer2", "--cache", cache, "-q"]
    assert featx(*extract, "--store-dtype", "float16").exit_code == 0
    fit = ["fit", extracted, "-b", "tiny", "-l", "layer2", "--clf", "logreg", "--cache", cache, "-q", "--json"]
    whole, half = (json.loads(featx(*fit, *more).stdout) for more in ((), ("--store-dtype", "float16")))
    assert whole["dim"] == half["dim"] == 64
    assert abs(whole["test_accuracy"] - half["test_accuracy"]) <= 0.2
    listed = json.loads(featx("cache", "ls", "--json", "--cache", cache).stdout)
    assert [row["key"]["dtype"] for row in listed] == ["float32", "float16"]


def test_foreign_parts_never_count(cache: Path, featx: Featx) -> None:
    store, _ = fill(cache)
    shutil.copytree(store.folder(KEY), store.folder(OTHER))
    digests = make_digests(2, seed=8)
    store.add(OTHER, digests, features_of(digests), {})
    listed = json.loads(featx("cache", "ls", "--json", "--cache", cache).stdout)
    assert {row["folder"]: row["images"] for row in listed} == {KEY.folder: 60, OTHER.folder: 2}
    assert featx("cache", "verify", "--cache", cache).exit_code == 1


@pytest.mark.parametrize(
    "words", [("cache", "ls"), ("cache", "verify"), ("extract", "digits", "--base", "tiny", "-l", "layer4")]
)
def test_a_url_of_an_unknown_kind_is_one_clear_line_and_makes_no_folder(
    featx: Featx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = featx(*words, "--cache", "ftp://host/features")
    assert result.exit_code == 2
    assert "'ftp://host/features' is a URL" in result.stderr
    assert list(tmp_path.iterdir()) == []
