"""Objects whose names obstore refuses: they are named, and hide no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from featx.data.given_images import list_given_images
from featx.data.sources import list_images
from featx.data.sources.buckets.bucket_files import BucketLost
from featx.errors import DataError
from tests.data.sources.archives.making import make_photos, make_png
from tests.data.sources.archives.test_zip_file import summarize
from tests.data.sources.buckets.test_buckets import put
from tests.storage.conftest import s3, s3_server

__all__ = ["s3", "s3_server"]

BAD_NAMES = ["a//1.png", "/1.png", "a/./1.png", "b/../1.png", "b/2.png\r", "esc/\x1b[31m.png", "b/c/"]
"""Names that obstore refuses, with good ones before and after them in a list."""


@pytest.fixture
def put_any(s3: str, s3_server: str) -> Callable[[str, bytes], None]:
    """Put an object of any name below the folder of `s3`."""
    client = boto3_client(s3_server)
    bucket, _, folder = s3.removeprefix("s3://").partition("/")
    return lambda name, data: client.put_object(Bucket=bucket, Key=f"{folder}/{name}", Body=data)


def boto3_client(server: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("s3", endpoint_url=server, region_name="us-east-1", config=Config(parameter_validation=False))


def test_an_object_whose_name_cannot_be_read_is_named_and_hides_no_other(
    s3: str, put_any: Callable[[str, bytes], None], caplog: pytest.LogCaptureFixture
) -> None:
    made = {f"%20 {name}": data for name, data in make_photos("ü+&=?# b", 3).items()}
    good = list_images(put(s3, {**made, "b/1.png": make_png(50), "b/3.png": make_png(51)}))
    for name in BAD_NAMES:
        put_any(name, make_png(1))
    put_any("c//", b"")
    listing = list_images(s3)
    assert summarize(listing) == summarize(good)
    # So digests that were remembered stay so.
    assert np.array_equal(listing.files.read_stamps(listing.paths), good.files.read_stamps(good.paths))
    assert [listing.read(path) for path in listing.paths] == [good.read(path) for path in good.paths]
    refused = {image.path.removeprefix(f"{s3}/") for image in listing.skipped}
    assert refused == {name.encode("unicode_escape").decode() for name in BAD_NAMES}
    assert f"'{s3}': 7 objects are passed over, since no object may have a name like '/1.png'" in caplog.text
    assert "\x1b" not in caplog.text
    assert list_given_images([s3]).paths == good.paths


def test_a_bad_name_on_another_page_of_a_list_hides_no_object(
    s3: str, put_any: Callable[[str, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, {f"a/{number:04}.png": b"x" for number in range(1100)})
    put_any("a/1050\t.png", b"x")
    assert len(list_images(s3)) == 1100
    # Objects that are named are found all the same.
    monkeypatch.setattr("featx.data.sources.buckets.bucket_files.MOST_ASKED", 2)
    urls = [f"{s3}/a/{number:04}.png" for number in range(1090, 1100)]
    assert (list_given_images(urls).files.read_stamps(urls)[:, 0] == 1).all()


def test_a_folder_of_bad_names_alone_is_one_clear_line(s3: str, put_any: Callable[[str, bytes], None]) -> None:
    put_any("a//1.png", make_png(1))
    with pytest.raises(DataError, match=r"holds no objects: 1 object is passed over, since .* a name like 'a//1.png'"):
        list_images(s3)


def test_a_bad_name_is_named_where_the_server_signs_otherwise(
    s3: str, put_any: Callable[[str, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_any("a//1.png", make_png(1))
    monkeypatch.setattr("featx.storage.bad_names.MOST_ANSWER_BYTES", 100)
    with pytest.raises(BucketLost, match=r"no object may have a name like '.*a//1.png': rename it"):
        list_images(s3)


def test_what_was_named_by_itself_is_read_whatever_lies_beside_it(
    s3: str, put_any: Callable[[str, bytes], None]
) -> None:
    put_any("esc/\x1b[31m.png", make_png(1))
    put(s3, {"esc/1.png": make_png(1)})
    given = list_given_images([f"{s3}/esc/1.png", f"{s3}/esc/none.png"])
    assert given.read(given.paths[0]) == make_png(1)
