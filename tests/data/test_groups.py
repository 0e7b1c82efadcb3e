"""Groups by column, by path and as given, and the hint where names suggest some."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from featx.base_choice import BaseChoice, GroupChoice
from featx.data.groups import as_groups, group_listing, suggest_groups
from featx.data.listing import Listing
from featx.data.sources import ColumnChoice, list_images
from featx.data.sources.image_files import ON_DISK
from featx.errors import DataError, RequestError, UnknownName
from featx.requests import CompareRequest
from tests.conftest import picture

FINDING = ColumnChoice(finds_groups=True)


def write_table(folder: Path, text: str, name: str = "t.csv") -> str:
    for place in range(4):
        picture(place, 0).save(folder / f"{place}.png")
    (folder / name).write_text(text)
    return str(folder / name)


def listing(paths: Sequence[str], name: str = "photos") -> Listing:
    """List paths below a folder; the first folder below it is the class."""
    labels = [path.split("/")[1] for path in paths]
    return Listing(name, paths, labels, [""] * len(paths), ON_DISK)


def names(listed: Listing) -> list[str]:
    assert listed.groups is not None
    return list(listed.groups.names)


@pytest.mark.parametrize(
    "column", ["group", "Patient", "patient id", "PatientID", "subject", "site", "session", "burst", "case"]
)
def test_a_column_of_a_known_name_says_the_groups_which_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    caplog.set_level(logging.INFO)
    table = write_table(tmp_path, f"path,label,{column}\n0.png,a, 7 \n1.png,a,7\n2.png,b,\n3.png,b,nan\n")
    assert names(list_images(table, choice=FINDING)) == ["7", "7", "", ""]
    assert f"images of one '{column}' are kept together" in caplog.text


def test_of_several_columns_the_patient_goes_before_the_site_and_a_chosen_one_before_both(tmp_path: Path) -> None:
    table = write_table(tmp_path, "path,label,site,patient,who\n0.png,a,s,1,x\n1.png,b,s,2,y\n")
    assert names(list_images(table, choice=FINDING)) == ["1", "2"]
    assert names(list_images(table, choice=ColumnChoice(group="Who"))) == ["x", "y"]
    with pytest.raises(UnknownName, match="column 'wo'.*did you mean 'who'|column 'wo'"):
        list_images(table, choice=ColumnChoice(group="wo"))


def test_extraction_passes_over_groups(tmp_path: Path) -> None:
    table = write_table(tmp_path, "path,label,patient\n0.png,a,1\n1.png,b,1\n")
    assert list_images(table).groups is None


def test_json_lines_and_metadata_have_groups(tmp_path: Path) -> None:
    lines = '{"path": "0.png", "label": "a", "subject": 3}\n{"path": "1.png", "label": "b"}\n'
    table = write_table(tmp_path, lines, "t.jsonl")
    assert names(list_images(table, choice=FINDING)) == ["3", ""]
    for split, row in (("train", "file_name,label,burst\n0.png,a,x\n"), ("test", "file_name,label\n0.png,a\n")):
        (tmp_path / "data" / split).mkdir(parents=True)
        picture(9, 1).save(tmp_path / "data" / split / "0.png")
        (tmp_path / "data" / split / "metadata.csv").write_text(row)
    assert sorted(names(list_images(str(tmp_path / "data"), choice=FINDING))) == ["", "x"]


def test_a_nested_value_is_refused_in_a_column_that_was_asked_for_only(tmp_path: Path) -> None:
    table = write_table(tmp_path, '{"path": "0.png", "label": "a", "group": {"x": 1}}\n', "t.jsonl")
    assert list_images(table, choice=FINDING).groups is None
    with pytest.raises(DataError, match="line 1: 'group' is .*, not a text or a number"):
        list_images(table, choice=ColumnChoice(group="group"))


def test_a_group_column_needs_a_table(photos: Path) -> None:
    with pytest.raises(DataError, match="is not a table: --group-column is for CSV"):
        list_images(str(photos), choice=ColumnChoice(group="patient"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"p(\d+)_", ["1", "2", "1", ""]),
        (r"p\d+", ["p1", "p2", "p1", ""]),
        (r"(?:q(\d)|p(\d+))_", ["1", "2", "1", ""]),
        (r"^([^/]+)/", ["a", "a", "b", "b"]),
    ],
)
def test_a_pattern_finds_groups_in_paths_from_data_on(pattern: str, expected: list[str]) -> None:
    # The folder of DATA has a name that would match.
    listed = listing(["p9_/a/p1_1.png", "p9_/a/p2_1.png", "p9_/b/p1_2.png", "p9_/b/x.png"], "p9_/t.csv")
    grouped = group_listing(listed, GroupChoice(group_by=pattern))
    assert names(grouped) == expected


def test_paths_that_do_not_match_are_alone_which_is_said(caplog: pytest.LogCaptureFixture) -> None:
    listed = listing(["photos/a/p1_1.png", "photos/b/p1_2.png", "photos/b/x.png"])
    group_listing(listed, GroupChoice(group_by=r"p(\d+)_"))
    assert "1 path does not match --group-by 'p(\\d+)_', such as" in caplog.text
    assert "each of them is a group of its own" in caplog.text
    with pytest.raises(DataError, match="not one of 3 paths matches --group-by 'z', such as"):
        group_listing(listed, GroupChoice(group_by="z"))


def test_groups_given_in_python_are_by_row_or_by_path() -> None:
    listed = Listing("t.csv", ["a/1.png", "b/2.png"], ["a", "b"], ["", ""], ON_DISK)
    assert names(group_listing(listed, GroupChoice(groups=("x", "y")))) == ["x", "y"]
    assert names(group_listing(listed, GroupChoice(groups={"b/2.png": "y", "a/1.png": "x"}))) == ["x", "y"]
    with pytest.raises(DataError, match="'groups' has 1 entries, but 't.csv' lists 2 images"):
        group_listing(listed, GroupChoice(groups=("x",)))
    with pytest.raises(DataError, match="'groups' says nothing of 1 of 2 images of 't.csv': 'b/2.png'"):
        group_listing(listed, GroupChoice(groups={"a/1.png": "x"}))


def test_groups_of_any_type_become_texts() -> None:
    assert as_groups(np.array([1, 1, 2])) == ("1", "1", "2")
    assert as_groups(["a", None, float("nan"), 3]) == ("a", "", "", "3")
    assert as_groups({"p": 1}) == {"p": "1"}
    assert as_groups(None) is None
    with pytest.raises(RequestError, match="'groups' must be a group for each image, or groups by path, not 'abc'"):
        as_groups("abc")


def test_a_request_says_the_groups_in_one_way_only() -> None:
    tiny = BaseChoice("tiny")
    with pytest.raises(RequestError, match="'group_column' and 'group_by' both say the groups: give one"):
        CompareRequest("photos", tiny, group_column="a", group_by="b")
    with pytest.raises(RequestError, match=r"'group_by' is not a regular expression: '\('"):
        CompareRequest("photos", tiny, group_by="(")
    with pytest.raises(RequestError, match="'groups' must be a list of strings"):
        CompareRequest("photos", tiny, groups=3)  # type: ignore[arg-type]


PATIENTS = [f"photos/{('ill', 'well')[p % 2]}/patient{p}_{n:02}.png" for p in range(8) for n in range(5)]
BURSTS = [f"photos/{label}/burst{p}/{n}.png" for label in ("x", "y") for p in range(3) for n in range(4)]
FAMILIES = [
    f"photos/{label}/{name}_{n}.jpg" for label in "ab" for name in (f"{label}nn", f"{label}ob") for n in range(4)
]


@pytest.mark.parametrize(("paths", "count"), [(PATIENTS, 8), (BURSTS, 3), (FAMILIES, 4)])
def test_names_that_suggest_groups_are_pointed_out_with_a_pattern_that_finds_them(paths: list[str], count: int) -> None:
    hint = suggest_groups(listing(paths, "photos/t.csv"))
    assert f"suggest {count} groups of pictures" in hint
    pattern = hint.split("--group-by '")[1].removesuffix("'")
    grouped = group_listing(listing(paths, "photos/t.csv"), GroupChoice(group_by=pattern))
    assert len(set(names(grouped))) == count


@pytest.mark.parametrize(
    "paths",
    [
        # A prefix for each class is the class.
        [f"photos/{label}/{label}_{n}.png" for label in ("crazing", "patches", "rust") for n in range(20)],
        # Words that say nothing, in every class.
        [
            f"photos/{label}/{word}{n}.png"
            for label in "ab"
            for word in ("image", "photo", "download")
            for n in range(9)
        ],
        # A counter of the whole data set, names of cameras, digests.
        [f"photos/{'ab'[n % 2]}/{n:04}.png" for n in range(40)],
        [f"photos/{'ab'[n % 2]}/IMG_{n:04}.jpg" for n in range(40)],
        [f"photos/{'ab'[n % 2]}/{n * 7919:08x}.jpg" for n in range(40)],
        # Every picture alone.
        [f"photos/{'ab'[n % 2]}/bird_{n}_{n * 31}.jpg" for n in range(40)],
        [f"photos/{'ab'[n % 2]}/{n}/1.jpg" for n in range(40)],
        ["photos/a/x.png"],
        # Splits inside class folders.
        [f"photos/{label}/{split}/{n}.png" for label in "ab" for split in ("Train", "valid", "Test") for n in range(9)],
    ],
)
def test_names_that_are_doubtful_are_not_pointed_out(paths: list[str]) -> None:
    assert suggest_groups(listing(paths)) == ""
