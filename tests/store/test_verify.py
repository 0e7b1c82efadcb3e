from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xxhash

from featx.errors import BrokenPart, MissingFeatures
from featx.keys import FeatureKey
from featx.store.clean import clean
from featx.store.hdf5_layout import lay_out
from featx.store.header import CHECKSUM_BLOCK_BYTES, FIRST_LINE_BYTES, make_first_line, parse_header_length
from featx.store.part import Part, write_part
from featx.store.store import FeatureStore
from featx.store.verify import verify
from tests.store.samples import BASE, KEY, OTHER, features_of, fill, make_digests, part_files

FLIPS = 1000 if os.environ.get("FEATX_STRESS") else 100


def problems(cache: Path) -> list[tuple[str, str]]:
    return [(Path(problem.path).name, problem.problem) for problem in verify(cache).problems]


def test_a_sound_cache_has_no_problems(cache: Path) -> None:
    fill(cache)
    key = FeatureKey(BASE, "layer3", "flat", "float16", view=2)
    FeatureStore(cache).add(key, make_digests(3), features_of(make_digests(3), (2, 2, 2)), {})
    report = verify(cache)
    assert (report.parts, report.rows, report.problems) == (4, 63, [])
    assert report.bytes == sum(path.stat().st_size for path in part_files(cache))


def test_a_cache_that_does_not_exist_has_no_problems(tmp_path: Path) -> None:
    assert verify(tmp_path / "nowhere").to_dict() == {"parts": 0, "rows": 0, "bytes": 0, "problems": []}


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(FLIPS))
def test_a_flipped_bit_is_always_found_and_no_wrong_number_is_handed_out(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    store, every = fill(tmp_path, parts=2, rows=dice.choice((1, 30, 2 * CHECKSUM_BLOCK_BYTES // 96 + 5)))
    path = dice.choice(part_files(tmp_path))
    data = bytearray(path.read_bytes())
    region = dice.choice((len(data), 2048, 128))  # small regions often: there lies what says where all else lies
    data[dice.randrange(min(len(data), region))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)
    assert [name for name, _ in problems(tmp_path)] == [path.name]
    for some in (every, every[dice.randrange(len(every)) :][:1]):
        try:
            got = store.get(KEY, some)
        except (BrokenPart, MissingFeatures):
            continue
        assert np.array_equal(got, features_of(some))


TORN: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "emptied": (lambda path, cache: path.write_bytes(b""), "is empty"),
    "cut": (lambda path, cache: path.write_bytes(path.read_bytes()[:-1]), "bytes instead of"),
    "renamed": (
        lambda path, cache: path.rename(path.with_name("part-" + "0" * 16 + ".h5")),
        "other rows than its name",
    ),
    "newer": (lambda path, cache: path.write_bytes(path.read_bytes().replace(b"format 1", b"format 9", 1)), "upgrade"),
    "foreign in it": (lambda path, cache: path.write_bytes(b"not a part" * 100), "is not a part"),
}


@pytest.mark.parametrize("name", TORN)
def test_a_broken_part_is_one_problem(cache: Path, name: str) -> None:
    fill(cache)
    tear, expected = TORN[name]
    tear(part_files(cache)[1], cache)
    (problem,) = problems(cache)
    assert expected in problem[1]


def test_a_part_copied_to_another_keys_folder_is_one_problem(cache: Path) -> None:
    store, _ = fill(cache)
    fill(cache, parts=1, key=OTHER)
    shutil.copy(part_files(store.folder(KEY))[0], store.folder(OTHER))
    (problem,) = problems(cache)
    assert problem[1] == f"belongs in '{KEY.folder}', not in this folder"


def test_foreign_files_anywhere_are_each_one_problem(cache: Path) -> None:
    store, _ = fill(cache)
    folder = store.folder(KEY)
    for path in (cache / "x.txt", folder / "part-1.h5", folder.parent / "y", folder.parent.parent / "z.json"):
        path.write_text("?")
    assert sorted(problems(cache)) == [
        (name, "is not a file of featx: move it out of the cache") for name in ("part-1.h5", "x.txt", "y", "z.json")
    ]


def test_what_belongs_beside_the_features_is_not_a_problem(cache: Path) -> None:
    store, _ = fill(cache)
    for path in (cache / "README.md", cache / ".gitignore", store.folder(KEY) / ".tmp-featx-here-12-0123abcd-part"):
        path.write_text("?")
    (cache / "scans").mkdir()
    (cache / "scans" / "0.npz").write_text("?")
    assert problems(cache) == []


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "is missing"), ("{", "is unreadable"), ("{}", "is unreadable")]
)
def test_a_base_description_that_is_gone_or_damaged_is_one_problem(
    cache: Path, content: str | None, expected: str
) -> None:
    fill(cache)
    file = cache / BASE.folder / "base.json"
    file.unlink() if content is None else file.write_text(content)
    (problem,) = problems(cache)
    assert problem[0] == "base.json"
    assert problem[1].startswith(expected)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"\x89HDF", b"\x89ABC", "is not an HDF5 file"),
        (b'"layer3"', b'"layer4"', "HDF5 reads other attributes than the header states"),
    ],
)
def test_a_part_of_which_hdf5_reads_something_else_is_one_problem(
    cache: Path, old: bytes, new: bytes, expected: str
) -> None:
    fill(cache)
    path = part_files(cache)[0]
    data = path.read_bytes()
    length = parse_header_length(data, path)
    # The last occurrence: that in the HDF5 file, not in the text before it.
    before, _, after = data[FIRST_LINE_BYTES:length].rpartition(old)
    rest = before + new + after
    path.write_bytes(make_first_line(length, xxhash.xxh3_128_hexdigest(rest)) + rest + data[length:])
    (problem,) = problems(cache)
    assert problem[0] == path.name
    assert problem[1].startswith(expected)


def test_a_part_that_another_version_of_hdf5_laid_out_is_sound(cache: Path) -> None:
    store, every = fill(cache, parts=1)
    (path,) = part_files(cache)
    with Part.open(path) as part:
        header = part.header
    features = path.read_bytes()[header.offset :]
    attributes = {"key": header.key, "block_rows": header.block_rows, "written by": "another library"}
    datasets = {"digest": header.digests, "checksums": header.checksums}
    hdf5, offsets = lay_out(attributes, datasets, "features", header.shape, header.dtype)
    fields = {"format": 1, "provenance": "{}", "shape": header.shape, "dtype": "float32", **attributes}
    places = {name: 2048 + offsets[name] for name in datasets}
    rest = json.dumps(fields | places).encode() + b"\n"
    rest = rest.ljust(2048 - FIRST_LINE_BYTES, b"\0") + hdf5
    path.write_bytes(make_first_line(2048 + len(hdf5), xxhash.xxh3_128_hexdigest(rest)) + rest + features)
    assert problems(cache) == []
    assert np.array_equal(store.get(KEY, every), features_of(every))


def test_rows_of_the_shape_that_fewer_have_are_broken(cache: Path) -> None:
    store, every = fill(cache)
    for seed in range(40):
        few = write_part(store.folder(KEY), KEY, make_digests(2, 100 + seed), [np.ones((2, 5), np.float32)], {})
        if few == min(part_files(cache)):
            break
    (problem,) = {reason for _, reason in problems(cache)}
    assert problem == "holds rows of shape (5,) beside rows of shape (24,)"
    assert store.keys()[0].shape == (24,)
    with pytest.raises(BrokenPart, match="rows of shape .* Run `featx cache clean`, then extract again"):
        store.get(KEY, np.concatenate([make_digests(2, 100 + seed), every]))
    clean(cache)
    assert problems(cache) == []
    assert np.array_equal(store.get(KEY, every), features_of(every))


def test_all_problems_are_reported_at_once(cache: Path) -> None:
    fill(cache)
    for path in part_files(cache):
        path.write_bytes(path.read_bytes()[:-5])
    (cache / "stray").write_text("?")
    (cache / BASE.folder / "base.json").unlink()
    assert len(problems(cache)) == 5


def test_rows_that_are_not_finite_or_of_another_shape_are_problems(cache: Path) -> None:
    store, _ = fill(cache, parts=1)
    write_part(store.folder(KEY), KEY, make_digests(3, 1), [np.full((3, 24), np.nan, np.float32)], {})
    write_part(store.folder(KEY), KEY, make_digests(2, 2), [np.ones((2, 5), np.float32)], {})
    reasons = [reason for _, reason in problems(cache)]
    assert len(reasons) == 2
    assert any("not finite" in reason for reason in reasons)
    assert any("beside rows of shape" in reason for reason in reasons)
