"""Full disks, folders that cannot be written or vanish: one clear error, nothing torn, nothing lost."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from featx.base_choice import BaseChoice
from featx.errors import StoreError
from featx.requests import CompareRequest, ExportRequest, ExtractRequest
from featx.store.clean import clean
from featx.store.compact import compact
from featx.store.store import FeatureStore
from featx.store.verify import verify
from featx.workflows.export import export
from featx.workflows.extract import extract_features
from tests.store.samples import KEY, features_of, fill, make_digests, part_files

RANDOM = BaseChoice("tiny", "random")


def mount(*options: str) -> None:
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB."""
    if os.geteuid() != 0:
        pytest.skip("only the superuser may mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A cache that cannot be written, with three parts; the superuser needs a mount for that."""
    cache = tmp_path / "frozen"
    fill(cache)
    if os.geteuid() == 0:
        mount("--bind", str(cache), str(cache))
        subprocess.run(["mount", "-o", "remount,ro,bind", str(cache)], check=True)
        yield cache
        subprocess.run(["umount", str(cache)], check=True)
    else:
        folders = [cache, *(path for path in cache.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        yield cache
        for folder in folders:
            folder.chmod(0o755)


def add_until_it_fails(store: FeatureStore) -> tuple[np.ndarray, str]:
    committed = []
    message = ""
    for number in range(1000):
        some = make_digests(50, seed=number)
        try:
            store.add(KEY, some, features_of(some, (200,)), {"created": float(number)})
        except StoreError as error:
            message = str(error)
            break
        committed.append(some)
    return np.concatenate(committed), message


def test_a_full_disk_is_one_clear_error_and_what_was_committed_stays(small_disk: Path) -> None:
    store = FeatureStore(small_disk / "cache")
    committed, message = add_until_it_fails(store)
    assert "cannot be written: No space left on device. What was committed before is safe; make room" in message
    assert np.array_equal(store.get(KEY, committed), features_of(committed, (200,)))
    assert {Path(problem.path).name for problem in verify(store.root).problems} == {"base.json"}
    assert not list(small_disk.rglob(".tmp-*"))


def test_a_full_disk_stops_a_merge_and_loses_nothing(small_disk: Path) -> None:
    store = FeatureStore(small_disk / "cache")
    committed, _ = add_until_it_fails(store)
    with pytest.raises(StoreError, match="cannot be compacted: No space left on device"):
        compact(store.root)
    assert np.array_equal(store.get(KEY, committed), features_of(committed, (200,)))
    assert not list(small_disk.rglob(".tmp-*"))


def test_a_full_disk_stops_an_extraction_and_it_goes_on_when_there_is_room(
    small_disk: Path, photos: Path, featx: Callable[..., Result]
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 560_000)
    words = ["extract", photos, "-b", "tiny", "--weights", "random", "-l", "layer4", "--cache", small_disk / "c", "-q"]
    result = featx(*words)
    assert result.exit_code == 1
    assert "No space left on device" in result.error  # type: ignore[attr-defined]
    filler.unlink()
    assert featx(*words).exit_code == 0
    assert verify(small_disk / "c").problems == []


def test_a_full_disk_stops_an_export_and_leaves_the_old_file(small_disk: Path, photos: Path, cache: Path) -> None:
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1",), ("flat",), cache=cache))
    out = small_disk / "out.h5"
    out.write_text("old")
    request = ExportRequest(CompareRequest(str(photos), RANDOM, ("layer1",), cache=cache), out)
    with pytest.raises(StoreError, match="out.h5' cannot be written: No space left on device"):
        export(request)
    assert [path.name for path in small_disk.iterdir()] == ["out.h5"]
    assert out.read_text() == "old"


def test_a_limit_on_the_size_of_files_is_one_clear_error(cache: Path) -> None:
    store, every = fill(cache)
    big = make_digests(500, seed=5)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old[1]))
    try:
        with pytest.raises(StoreError, match=os.strerror(errno.EFBIG)):
            store.add(KEY, big, features_of(big, (1000,)), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert np.array_equal(store.get(KEY, every), features_of(every))
    assert len(part_files(cache)) == 3
    assert not list(cache.rglob(".tmp-*"))


def test_a_cache_that_cannot_be_written_is_still_read(read_only: Path) -> None:
    store = FeatureStore(read_only)
    every = make_digests(60)
    assert np.array_equal(store.get(KEY, every), features_of(every))
    assert verify(read_only).problems == []
    assert store.keys()[0].images == 60


def test_a_cache_that_cannot_be_written_is_one_clear_error(read_only: Path) -> None:
    store = FeatureStore(read_only)
    more = make_digests(2, seed=3)
    with pytest.raises(StoreError, match="cannot be written: .*(Read-only|Permission)"):
        store.add(KEY, more, features_of(more), {})
    with pytest.raises(StoreError, match="cannot be written: .*(Read-only|Permission)"):
        store.remove(KEY)
    with pytest.raises(StoreError, match="cannot be compacted: .*(Read-only|Permission)"):
        compact(read_only)
    assert clean(read_only).quarantined == []
    assert len(part_files(read_only)) == 3


def test_a_cache_removed_in_the_middle_of_an_extraction_is_filled_from_there(photos: Path, cache: Path) -> None:
    request = ExtractRequest(str(photos), RANDOM, ("layer1",), cache=cache, batch_size=4)

    def remove_once(done: int, total: int) -> None:
        if done == 34:
            cache.rename(cache.with_name("gone"))

    try:
        assert extract_features(request, remove_once).extracted == 36
    except StoreError as error:  # it went in the very moment between making a folder and using it
        assert "cannot be written" in str(error)  # noqa: PT017
    extract_features(request)
    assert verify(cache).problems == []
    assert FeatureStore(cache).keys()[0].images == 36
