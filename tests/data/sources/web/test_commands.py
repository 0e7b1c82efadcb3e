"""Commands on tables whose rows are addresses of the web."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.archives.making import make_photos, write_folder
from tests.data.sources.web.server import WebServer
from tests.data.sources.web.test_web_files import server, write_table

__all__ = ["server"]


def test_photos_at_addresses_are_extracted_fitted_and_labelled_as_those_of_a_folder(
    server: WebServer, tmp_path: Path, featx: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featx.data.digest_cache.YOUNG_SECONDS", -60.0)
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    photos = make_photos(count=12)
    server.files |= {f"/{name}": data for name, data in photos.items()} | {"/page.png": b"<html>Please log in</html>"}
    labelled = [f"path,label\n{server.url}/page.png,red"]
    labelled += [f"{server.url}/{name},{name.partition('/')[0]}" for name in photos]
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(labelled))
    base = ("--base", "tiny", "--layer", "layer1")
    ran = featx("extract", table, *base)
    assert ran.exit_code == 1
    assert ran.stderr.count("page.png") == 1
    assert "24 extracted" in ran.stdout
    # The same photos in a folder, and once more at the addresses: no feature is computed, and nothing downloaded.
    assert "0 extracted" in featx("extract", write_folder(tmp_path / "photos", photos), *base).stdout
    server.take_asked()
    table.write_text("\n".join([labelled[0].partition("\n")[0], *labelled[1:]]))
    assert "0 extracted" in featx("extract", table, *base).stdout
    assert {asked.split()[0] for asked in server.take_asked()} == {"HEAD"}
    model = tmp_path / "model.featx"
    fitted = featx("fit", table, *base, "--clf", "logreg", "--out", model)
    assert fitted.exit_code == 0, fitted.stderr
    here = featx("predict", model, tmp_path / "photos" / "red" / "00.png", "--json")
    there = featx("predict", model, table, f"{server.url}/red/00.png", f"{server.url}/none.png", "--json")
    assert there.exit_code == 1
    assert f"failed: {server.url}/none.png: the server has nothing there (404 Not Found)" in there.stderr
    entries = [entry for entry in json.loads(there.stdout) if entry.get("label")]
    assert len(entries) == 24
    alike = {entry["path"]: entry["label"] for entry in entries}
    assert alike[f"{server.url}/red/00.png"] == json.loads(here.stdout)[0]["label"]


@pytest.mark.parametrize("words", [("extract",), ("compare",), ("advise",), ("inspect",), ("auto", "--out", "a.featx")])
def test_a_password_in_data_is_never_told(
    tmp_path: Path, featx: Callable[..., Any], words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *options = words
    options += ["--layer", "layer1"] if command == "extract" else []
    ran = featx(command, "https://me:SECRET@host.invalid/rows.csv", "--base", "tiny", *options)
    assert ran.exit_code == 1
    assert ran.error.startswith("an address names a user or a password")
    assert "SECRET" not in ran.error + ran.output
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"SECRET" in file.read_bytes()]


@pytest.mark.parametrize("row", ["https://me:SECRET@host.invalid/a.png", "https://host.invalid/a.png"])
def test_what_cannot_be_read_at_all_is_one_line(tmp_path: Path, featx: Callable[..., Any], row: str) -> None:
    table = write_table(tmp_path / "a.csv", [row])
    ran = featx("extract", table, "--base", "tiny", "--layer", "layer1", "--cache", tmp_path / "cache")
    assert ran.exit_code == 1
    assert "\n" not in ran.error
    assert "SECRET" not in ran.error + ran.output
