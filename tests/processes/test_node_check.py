"""What a node of a cluster does not see is said in words that go on from its name."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import featx
from featx.data.sources.buckets.bucket_files import BucketLost
from featx.data.sources.image_files import DiskFile
from featx.processes.node_check import NodeCheck, unfinished_file
from featx.storage.client import make_client
from featx.storage.paths import ObjectPath


@pytest.fixture
def check(photos: Path, cache: Path) -> NodeCheck:
    cache.mkdir()
    path = str(photos / "red" / "00.png")
    image = (path, DiskFile(path), Path(path).stat().st_size)
    return NodeCheck(featx.__version__, str(Path.cwd()), cache, "", [image])


def test_a_node_that_sees_all_has_no_problem(check: NodeCheck) -> None:
    with unfinished_file(check.cache) as token:
        assert replace(check, token=token).list_problems() == []
    assert list(check.cache.iterdir()) == []


def test_a_node_without_the_cache_or_with_one_of_its_own_is_told(check: NodeCheck, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert replace(check, cache=nowhere).list_problems() == [f"does not see the cache '{nowhere}'"]
    # The driver's folder has a file of this name, this one has not.
    (problem,) = replace(check, token=".tmp-featx-driver").list_problems()
    assert problem == f"has a folder of its own at '{check.cache}', which is not the cache"


def test_a_node_without_the_images_is_told_one_of_them(check: NodeCheck) -> None:
    ((path, file, size),) = check.images
    with unfinished_file(check.cache) as token:
        there = replace(check, token=token)
        (problem,) = replace(there, images=[("gone.png", DiskFile("gone.png"), 10)]).list_problems()
        assert problem == "does not see the image 'gone.png'"
        (problem,) = replace(there, images=[(path, file, size + 1)]).list_problems()
        assert problem == f"sees {size} bytes of the image '{path}'"


@dataclass(frozen=True)
class Far:
    """A file far away, or what is wrong with it."""

    error: Exception | None = None

    def check_access(self) -> None:
        if self.error is not None:
            raise self.error


def test_a_bucket_that_a_node_cannot_read_is_told_and_an_image_that_is_gone_is_not(check: NodeCheck) -> None:
    refused = ("s3://two", Far(BucketLost("'s3://two' refuses access")))
    far_images = [("s3://gone", Far(FileNotFoundError())), ("s3://one", Far()), refused, ("s3://three", refused[1])]
    with unfinished_file(check.cache) as token:
        (problem,) = replace(check, token=token, far_images=far_images).list_problems()
        assert problem == "cannot read images in 's3://two': 's3://two' refuses access"
        assert replace(check, token=token, far_images=far_images[:2]).list_problems() == []


def test_a_node_without_obstore_is_told_of_a_cache_in_a_bucket(
    check: NodeCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    make_client.cache_clear()
    (problem,) = replace(check, cache=ObjectPath("memory://one", "features"), images=[]).list_problems()
    assert problem.startswith("cannot read the cache: 'memory://one' lies in an object store, which needs obstore")


def test_another_version_is_told(check: NodeCheck) -> None:
    assert replace(check, version="0.0.9").list_problems() == [f"has featx {featx.__version__}, not 0.0.9"]
