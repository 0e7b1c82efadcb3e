"""Parquet files and saved data sets: the bytes of each image, its label by name, within memory."""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.data.digest_cache import digest_all
from featx.data.reading import read_whole
from featx.data.sources import ColumnChoice, list_images
from featx.data.sources.columnar import parquet_pages, parquet_rows
from featx.errors import DataError, UnknownName
from tests.data.counted import count_reads
from tests.data.sources.archives.making import make_png
from tests.data.sources.archives.test_zip_file import later
from tests.data.sources.columnar.saving import save_to_disk

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet")

FEATURES = {
    "info": {
        "features": {
            "image": {"_type": "Image"},
            "label": {"names": ["ants", "bees"], "_type": "ClassLabel"},
        }
    }
}


def make_table(count: int = 8, first: int = 0, **columns: Any) -> Any:
    """A table as Hugging Face writes it: images with their paths, and labels by number."""
    rows = range(first, first + count)
    image = pa.array(
        [{"bytes": make_png(row, row % 2), "path": f"{row}.png"} for row in rows],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    made = {"image": image, "label": pa.array([row % 2 for row in rows], pa.int64()), **columns}
    return pa.table(made).replace_schema_metadata({"huggingface": json.dumps(FEATURES)})


def write(file: Path, table: Any, **options: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, file, **options)
    return file


def check_rows(listing: Any, count: int = 8) -> None:
    assert [listing.read(path) for path in listing.paths] == [make_png(row, row % 2) for row in range(count)]
    assert list(listing.labels) == ["bees" if row % 2 else "ants" for row in range(count)]


@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "none"}, {"compression": "zstd", "row_group_size": 3}, {"use_dictionary": False}],
)
def test_images_and_named_labels_of_hugging_face_are_read(tmp_path: Path, options: dict[str, Any]) -> None:
    check_rows(list_images(str(write(tmp_path / "a.parquet", make_table(), **options))))


def test_a_folder_of_files_is_divided_by_their_names(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train-00000-of-00002.parquet", make_table(4))
    write(tmp_path / "data" / "train-00001-of-00002.parquet", make_table(2, 4))
    write(tmp_path / "data" / "test-00000-of-00001.parquet", make_table(2, 6))
    (tmp_path / "README.md").write_text("a card")
    for data in (tmp_path, tmp_path / "data"):
        listing = list_images(str(data))
        assert listing.splits == ["test"] * 2 + ["train"] * 6
        assert "splits: train, test (from shard names)" in listing.notes[0]
    assert len(list_images(f"{tmp_path}/data/train-{{00000..00001}}-of-00002.parquet")) == 6


def test_plain_bytes_and_columns_of_other_names(tmp_path: Path) -> None:
    images = pa.array([make_png(row, row % 2) for row in range(8)], pa.large_binary())
    kinds = pa.array(["ants", "bees"] * 4).dictionary_encode()
    table = pa.table({"photo": images, "kind": kinds, "patient": pa.array([1, 1, 2, 2, 3, 3, 4, None])})
    file = write(tmp_path / "a.parquet", table)
    check_rows(list_images(str(file), choice=ColumnChoice(label="kind")))
    groups = list_images(str(file), choice=ColumnChoice(label="kind", finds_groups=True)).groups
    assert groups is not None
    assert list(groups.names) == ["1", "1", "2", "2", "3", "3", "4", ""]
    with pytest.raises(DataError, match=r"'.*a.parquet': there is no column label.*choose with --label-column"):
        list_images(str(file))
    with pytest.raises(UnknownName, match="'sort'"):
        list_images(str(file), choice=ColumnChoice(label="sort"))


def test_rows_without_image_fail_and_rows_without_label_are_named(tmp_path: Path) -> None:
    table = make_table(6)
    images = table["image"].to_pylist()
    images[2] = None
    images[3] = {"bytes": None, "path": "elsewhere.png"}
    labels = pa.array([0, 1, 0, 1, None, -1], pa.int64())
    table = table.set_column(0, "image", pa.array(images, table["image"].type)).set_column(1, "label", labels)
    table = table.replace_schema_metadata({"huggingface": json.dumps(FEATURES)})
    listing = list_images(str(write(tmp_path / "a.parquet", table)))
    assert len(listing) == 4
    assert "rows without a label are passed over: 2" in listing.notes[0]
    failed = digest_all(tmp_path / "cache", listing).unreadable
    assert [image.reason for image in failed] == ["its row holds no image"] * 2


def test_digests_are_those_of_the_files_and_are_remembered(tmp_path: Path) -> None:
    import hashlib

    file = write(tmp_path / "a.parquet", make_table(), row_group_size=3)
    first = digest_all(tmp_path / "cache", list_images(str(file)), now=later)
    expected = [hashlib.sha256(make_png(row, row % 2)).digest() for row in range(8)]
    assert [digest.tobytes() for digest in first.digests] == expected
    listing, reads = count_reads(list_images(str(file)))
    assert np.array_equal(digest_all(tmp_path / "cache", listing).digests, first.digests)
    assert reads == []


def test_rows_are_read_in_any_order_by_many_threads_with_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_rows, "KEPT_BYTES", 20_000)
    monkeypatch.setattr(parquet_rows, "BATCH_BYTES", 10_000)
    listing = list_images(str(write(tmp_path / "a.parquet", make_table(60), row_group_size=25)))
    rows = list(range(60))
    random.Random(0).shuffle(rows)
    with ThreadPoolExecutor(8) as pool:
        data = list(pool.map(lambda row: listing.read(listing.paths[row]), rows))
    assert data == [make_png(row, row % 2) for row in rows]
    readers = parquet_rows.GROUPS._readers.values()
    assert len(readers) <= parquet_rows.OPEN_GROUPS
    assert all(sum(images.nbytes for _, images in reader._kept) < 60_000 for reader in readers)


def test_damaged_files_beside_sound_ones_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "data" / "0.parquet", make_table())
    cut = write(tmp_path / "data" / "1.parquet", make_table(8, 8))
    cut.write_bytes(cut.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        check_rows(list_images(str(tmp_path / "data")))
    assert f"1 file is damaged, and the others are used: '{cut}' (" in caplog.text
    with pytest.raises(DataError, match=r"'.*1.parquet' holds no images that can be read: "):
        list_images(str(cut))


def test_flipped_bits_end_in_failed_images_or_one_clear_line(tmp_path: Path) -> None:
    sound = write(tmp_path / "a.parquet", make_table(), compression="snappy").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(sound)
        for place in rng.integers(len(data), size=4):
            data[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "b.parquet").write_bytes(data)
        try:
            listing = list_images(str(tmp_path / "b.parquet"))
        except DataError:
            continue
        digest_all(tmp_path / "cache", listing)


def test_a_changed_file_gives_no_image_of_another_row(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", make_table())
    listing = list_images(str(file))
    time.sleep(0.02)
    write(file, make_table(8, 30))
    with pytest.raises(OSError, match="was changed after its contents were listed"):
        read_whole(listing.files.find(listing.paths[0]))


def test_a_saved_data_set_is_read_by_place(tmp_path: Path) -> None:
    listing = list_images(str(save_to_disk(tmp_path / "saved", make_table())))
    check_rows(listing)
    assert listing.files.are_shareable


def test_the_splits_of_a_saved_data_set_are_its_folders(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("test", 8)):
        save_to_disk(tmp_path / "saved" / split, make_table(8, first))
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    listing = list_images(str(tmp_path / "saved"))
    assert listing.splits == ["train"] * 8 + ["test"] * 8
    check_rows(listing, 16)


def test_saved_data_sets_that_cannot_be_read_are_one_clear_line(tmp_path: Path) -> None:
    packed = save_to_disk(tmp_path / "packed", make_table(), "zstd")
    with pytest.raises(DataError, match="'.*arrow': its columns are compressed"):
        list_images(str(packed))
    chosen = save_to_disk(tmp_path / "chosen", make_table())
    state = json.loads((chosen / "state.json").read_text())
    (chosen / "state.json").write_text(json.dumps({**state, "_indices_files": [{"filename": "x.arrow"}]}))
    with pytest.raises(DataError, match="in another order: save it once more, after flatten_indices"):
        list_images(str(chosen))
    (chosen / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../packed/x.arrow"}]}))
    with pytest.raises(DataError, match="names files elsewhere"):
        list_images(str(chosen))


def test_what_is_readable_of_a_truncated_saved_data_set_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = save_to_disk(tmp_path / "saved", make_table(16))
    last = folder / "data-00001-of-00002.arrow"
    last.write_bytes(last.read_bytes()[:-9000])
    with caplog.at_level(logging.WARNING):
        listing = list_images(str(folder))
    assert 8 <= len(listing) < 16
    assert len(digest_all(tmp_path / "cache", listing).unreadable) == 0
    assert f"1 file is damaged, and what is readable is used: '{last}'" in caplog.text


def test_nothing_of_pyarrow_is_imported_for_other_data(tmp_path: Path) -> None:
    from tests.data.sources.archives.making import make_photos, write_folder, write_tar, write_zip

    write_folder(tmp_path / "folder", make_photos())
    write_zip(tmp_path / "a.zip", make_photos())
    write_tar(tmp_path / "a.tar", make_photos())
    script = (
        "import sys\nfrom featx.data.sources import list_images\nimport featx.data.loader\n"
        "for data in sys.argv[1:]: list_images(data)\n"
        "sys.exit('pyarrow' in sys.modules)"
    )
    data = [str(tmp_path / name) for name in ("folder", "a.zip", "a.tar")]
    assert subprocess.run([sys.executable, "-c", script, *data], check=False).returncode == 0


def test_without_pyarrow_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "a.parquet", make_table())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"'.*a.parquet' is read by pyarrow.*pip install 'featx\[parquet\]'"):
        list_images(str(file))


def test_a_page_that_would_take_too_much_memory_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Megabytes of zeros in a few bytes, beside sound rows in another row group."""
    monkeypatch.setattr(parquet_pages, "MOST_PAGE_BYTES", 2**22)
    file, schema = tmp_path / "a.parquet", make_table().schema
    bomb = pa.array([{"bytes": bytes(2**22 + 1000), "path": "x.png"}], schema.field("image").type)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        writer.write_table(make_table())
        writer.write_table(pa.table({"image": bomb, "label": pa.array([1])}).replace_schema_metadata(schema.metadata))
    assert file.stat().st_size < 100_000
    failed = digest_all(tmp_path / "cache", list_images(str(file))).unreadable
    assert [image.path for image in failed] == [f"{file}/000008"]
    assert failed[0].reason == "a page of it has 4 MiB, more than the 4 MiB that are read"


def test_texts_that_unpack_to_too_much_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_pages, "MOST_PAGE_BYTES", 2**18)
    labels = pa.array(["a" * 2**19] * 4 + ["b"] * 4)
    table = make_table().drop_columns(["label"]).append_column("label", labels)
    file = write(tmp_path / "a.parquet", table, compression="zstd")
    with pytest.raises(DataError, match="a page of it has"):
        list_images(str(file))
