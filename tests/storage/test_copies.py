"""The local cache: parts are fetched once, damage there is mended, and no disk that is full costs a number."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from featx.storage.copies import Copies
from featx.storage.paths import CachePath, ObjectMeta, ObjectPath, parse_cache
from featx.store.verify import verify
from tests.storage.conftest import forget_clients, list_copies
from tests.store.samples import KEY, features_of, fill


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an object store that a test may look into; its cache is `file://` and this."""
    pytest.importorskip("obstore", reason="obstore is not installed: no object store can be reached")
    use_copies(tmp_path / "copies", monkeypatch)
    yield tmp_path / "bucket"
    forget_clients()


def use_copies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(folder))
    forget_clients()


def cache_in(bucket: Path) -> CachePath:
    return parse_cache(f"file://{bucket}")


def test_what_was_written_or_read_is_not_fetched_again(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rows = fill(cache_in(bucket))
    assert len(list_copies()) == 3
    use_copies(tmp_path / "others", monkeypatch)
    assert not store.missing(KEY, rows).any()
    # Headers only, until features are asked for.
    assert [path.suffix for path in list_copies()] == [".head"] * 3
    assert np.array_equal(store.get(KEY, rows), features_of(rows))
    before = [(path, path.stat().st_ino) for path in list_copies()]
    assert np.array_equal(store.get(KEY, rows), features_of(rows))
    assert [(path, path.stat().st_ino) for path in list_copies()] == before


@pytest.mark.parametrize("place", [200, -20])
def test_a_damaged_copy_is_fetched_again_and_no_number_is_wrong(bucket: Path, place: int) -> None:
    store, rows = fill(cache_in(bucket))
    for path in list_copies():
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(data)
    assert np.array_equal(store.get(KEY, rows), features_of(rows))
    assert np.array_equal(store.get(KEY, rows[::3]), features_of(rows[::3]))


def test_verify_reads_the_bucket_whatever_copies_say(bucket: Path) -> None:
    store, _ = fill(cache_in(bucket))
    for copy in list_copies():
        copy.write_bytes(copy.read_bytes()[:-20] + bytes(20))
    assert verify(store.root).problems == []
    path = sorted(bucket.rglob("part-*.h5"))[0]
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    (problem,) = verify(store.root).problems
    assert "fail their checksum" in problem.problem
    assert problem.is_broken


def test_the_least_recently_used_copies_go_when_there_is_no_room(tmp_path: Path) -> None:
    copies = Copies(tmp_path, 10_000)
    for number in range(30):
        path = ObjectPath("s3://bucket", f"key/part-{number}")
        copies.keep(path, ObjectMeta(1_000, "tag", 0.0), bytes(1_000))
    left = list((tmp_path / "parts").rglob("part-*"))
    assert sum(path.stat().st_size for path in left) <= 11_000
    assert any(path.name.startswith("part-29.") for path in left)
    assert not any(path.name.startswith("part-0.") for path in left)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder whose disk holds hardly anything; the superuser needs a mount for that."""
    folder = tmp_path / "full"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def check_without_copies(
    folder: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """Writing and reading go on, and one line says why they are slower."""
    use_copies(folder, monkeypatch)
    store, rows = fill(cache_in(bucket), parts=8, rows=100)
    assert np.array_equal(store.get(KEY, rows), features_of(rows))
    assert verify(store.root).problems == []
    lines = [record.getMessage() for record in log.records if "local cache" in record.getMessage()]
    assert len(lines) == 1
    assert f"the local cache '{folder}' cannot be written" in lines[0]
    assert "choose another folder with --local-cache" in lines[0]


def test_a_full_disk_under_the_local_cache_is_one_line_and_loses_nothing(
    full_disk: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    check_without_copies(full_disk, bucket, monkeypatch, caplog)
    assert "No space left on device" in caplog.text


def test_a_local_cache_that_cannot_be_made_is_one_line_and_loses_nothing(
    tmp_path: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    check_without_copies(tmp_path / "file" / "copies", bucket, monkeypatch, caplog)
