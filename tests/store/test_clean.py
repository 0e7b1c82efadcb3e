from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from featx.files import atomic_file
from featx.store.clean import clean
from featx.store.verify import verify
from tests.store.samples import KEY, features_of, fill, part_files

LEAVE = """
import os, sys
from pathlib import Path
from featx.files import atomic_file
with atomic_file(Path(sys.argv[1])) as (handle, path):
    os.write(handle, b"half")
    os.kill(os.getpid(), 9)
"""


def leave_unfinished(target: Path) -> Path:
    """Let another process die while it writes."""
    subprocess.run([sys.executable, "-c", LEAVE, str(target)], check=False)
    (unfinished,) = target.parent.glob(".tmp-*")
    return unfinished


def test_what_a_killed_writer_left_is_removed(cache: Path) -> None:
    store, every = fill(cache)
    unfinished = leave_unfinished(store.folder(KEY) / "part-0123456789abcdef.h5")
    assert clean(cache).removed == [str(unfinished)]
    assert not unfinished.exists()
    assert np.array_equal(store.get(KEY, every), features_of(every))


def test_what_a_living_writer_writes_is_left_alone(cache: Path) -> None:
    target = cache / "base" / "layer" / "avg" / "x"
    with atomic_file(target) as (handle, unfinished):
        os.write(handle, b"half")
        os.utime(unfinished, (0, 0))
        assert clean(cache).removed == []
    assert target.read_bytes() == b"half"


def test_what_another_machine_writes_is_left_alone_for_a_day(cache: Path) -> None:
    fill(cache)
    unfinished = cache / ".tmp-featx-elsewhere-1-01234567-part"
    unfinished.touch()
    assert clean(cache).removed == []
    os.utime(unfinished, (time.time() - 90_000,) * 2)
    assert clean(cache).removed == [str(unfinished)]


def test_temporary_files_of_others_are_left_alone(cache: Path) -> None:
    fill(cache)
    (cache / ".tmp-featx-mine").touch()
    (cache / ".tmp-other").touch()
    assert clean(cache).removed == []


def test_broken_parts_are_put_aside_and_the_rest_stays(cache: Path) -> None:
    store, every = fill(cache)
    path = part_files(cache)[0]
    broken = path.read_bytes()[:-1]
    path.write_bytes(broken)
    (moved,) = clean(cache).quarantined
    assert Path(moved.to).read_bytes() == broken
    assert Path(moved.to).relative_to(cache / "quarantine") == path.relative_to(cache)
    assert store.missing(KEY, every).sum() == 20
    assert verify(cache).problems == []


def test_a_second_broken_part_of_the_same_name_does_not_overwrite_the_first(cache: Path) -> None:
    store, every = fill(cache, parts=1)
    (path,) = part_files(cache)
    for content in (b"one", b"two"):
        path.write_bytes(content)
        clean(cache)
        store.add(KEY, every, features_of(every), {})
    kept = sorted(file.read_bytes() for file in (cache / "quarantine").rglob("part-*"))
    assert kept == [b"one", b"two"]


def test_what_is_not_understood_is_left_where_it_is(cache: Path) -> None:
    fill(cache)
    newer = part_files(cache)[0]
    foreign = cache / "stray"
    newer.write_bytes(newer.read_bytes().replace(b"format 1", b"format 9", 1))
    foreign.write_text("?")
    report = clean(cache)
    assert report.quarantined == []
    assert {Path(problem.path) for problem in report.problems} == {newer, foreign}
    assert newer.exists()
