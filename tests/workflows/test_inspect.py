from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import featx as api
from featx.base_choice import BaseChoice
from featx.errors import DataError
from featx.requests import ExtractRequest, InspectRequest
from featx.workflows.extract import extract_features
from featx.workflows.inspect import inspect_data
from tests.conftest import raises_missing
from tests.inspection.test_near_duplicates import scene

Featx = Callable[..., Any]


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Two classes of fourteen scenes, light and dark, in a training part and a held-out part."""
    root = tmp_path / "scenes"
    for code, name in enumerate(("dim", "light")):
        for number in range(14):
            folder = root / ("test" if number < 4 else "train") / name
            folder.mkdir(parents=True, exist_ok=True)
            picture = scene(100 * code + number).point(lambda value, code=code: value // 2 + 120 * code)
            picture.save(folder / f"{number:02}.jpg", quality=95)
    return root


def extract(data: Path, cache: Path) -> None:
    extract_features(ExtractRequest(str(data), BaseChoice("tiny"), ("layer2", "layer3"), cache=cache))


def inspect(data: Path, cache: Path, **options: Any) -> Any:
    return inspect_data(InspectRequest(str(data), BaseChoice("tiny"), cache=cache, **options))


def test_copies_across_the_split_and_across_labels_are_named(featx: Featx, scenes: Path, cache: Path) -> None:
    with Image.open(scenes / "train" / "dim" / "05.jpg") as picture:
        picture.resize((160, 120)).save(scenes / "test" / "dim" / "leak.jpg", quality=60)
    with Image.open(scenes / "train" / "light" / "06.jpg") as picture:
        picture.save(scenes / "train" / "dim" / "conflict.jpg", quality=50)
    (scenes / "train" / "light" / "copy.jpg").write_bytes((scenes / "train" / "light" / "07.jpg").read_bytes())
    extract(scenes, cache)
    found = inspect(scenes, cache)
    groups = {tuple(sorted(Path(path).name for path in group.paths)): group for group in found.near_duplicates}
    assert set(groups) == {("05.jpg", "leak.jpg"), ("06.jpg", "conflict.jpg"), ("07.jpg", "copy.jpg")}
    assert [group.is_leak for group in found.near_duplicates] == [True, False, False]
    assert groups["06.jpg", "conflict.jpg"].is_conflict
    drops = {Path(path).name: reason for path, reason in found.list_drops().items()}
    assert "05.jpg" in drops
    assert "leak.jpg" not in drops
    assert {"06.jpg", "conflict.jpg"} <= set(drops)
    assert len({"07.jpg", "copy.jpg"} & set(drops)) == 1
    words = ("inspect", scenes, "--base", "tiny", "--cache", cache, "-q", "--layer", "layer2")
    drop_list, table = scenes.parent / "drop.txt", scenes.parent / "found.csv"
    text = featx(*words, "--drop-list", drop_list, "--csv", table).stdout
    assert "1 across the split, 1 across labels" in text
    assert json.loads(featx(*words, "--json").stdout)["near_duplicates"][0]["is_leak"] is True
    assert {row["finding"] for row in csv.DictReader(table.read_text().splitlines())} >= {"near-duplicate"}
    fitted = featx(
        "fit",
        scenes,
        "--base",
        "tiny",
        "--cache",
        cache,
        "--layer",
        "layer2",
        "--clf",
        "logreg",
        "--exclude",
        drop_list,
        "--json",
        "-q",
    )
    count = json.loads(fitted.stdout)["n_train"] + json.loads(fitted.stdout)["n_test"]
    dropped = [line for line in drop_list.read_text().splitlines() if not line.startswith("#")]
    assert count == 31 - len(dropped)


def test_copies_on_both_sides_of_a_drawn_split_are_leaks(scenes: Path, cache: Path) -> None:
    # One folder of classes, in which every picture lies once more, a little changed.
    for file in [*scenes.rglob("*.jpg")]:
        folder = scenes.parent / "whole" / file.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as picture:
            picture.save(folder / f"{file.parent.parent.name}-{file.stem}.jpg", quality=95)
            picture.save(folder / f"{file.parent.parent.name}-{file.stem}-copy.jpg", quality=60)
    extract(scenes.parent / "whole", cache)
    found = inspect(scenes.parent / "whole", cache)
    assert found.has_drawn_split
    leaks = [group for group in found.near_duplicates if group.is_leak]
    assert 0 < len(leaks) < len(found.near_duplicates)
    for group in found.near_duplicates:
        assert group.is_leak == (len(set(group.held_out)) == 2)
    # What is held out stays, and what is trained on goes.
    drops = found.list_drops()
    assert not any(
        path in drops for path, is_held_out in zip(leaks[0].paths, leaks[0].held_out, strict=True) if is_held_out
    )


def test_a_threshold_of_one_leaves_equal_files_only(scenes: Path, cache: Path) -> None:
    (scenes / "train" / "dim" / "copy.jpg").write_bytes((scenes / "train" / "dim" / "07.jpg").read_bytes())
    with Image.open(scenes / "train" / "dim" / "06.jpg") as picture:
        picture.save(scenes / "train" / "dim" / "again.jpg", quality=40)
    extract(scenes, cache)
    (group,) = inspect(scenes, cache, threshold=0.9999995).near_duplicates
    assert {Path(path).name for path in group.paths} == {"07.jpg", "copy.jpg"}


def test_a_wrong_label_and_a_blank_picture_are_named(scenes: Path, cache: Path) -> None:
    (scenes / "train" / "dim" / "09.jpg").rename(scenes / "train" / "light" / "wrong.jpg")
    Image.new("RGB", (240, 180), (70, 70, 70)).save(scenes / "train" / "dim" / "08.jpg", quality=95)
    extract(scenes, cache)
    found = api.inspect(scenes, base="tiny", layer="layer2", cache=cache)
    assert Path(found.suspect_labels[0].path).name == "wrong.jpg"
    assert found.suspect_labels[0].suggested == "dim"
    assert found.estimated_wrong == pytest.approx(1, abs=0.6)
    assert ("08.jpg", "blank") in {(Path(poor.path).name, poor.problem) for poor in found.poor_pictures}
    assert found.layer == "layer2"


def test_nothing_cached_says_what_to_extract(scenes: Path, cache: Path) -> None:
    with raises_missing("Run: featx extract .*--base tiny --layer layer3"):
        inspect(scenes, cache, layer="layer3")


def test_one_class_is_one_line_and_pictures_are_looked_at_all_the_same(scenes: Path, cache: Path) -> None:
    only = scenes / "train"
    for path in (only / "light").iterdir():
        path.unlink()
    (only / "light").rmdir()
    extract(only, cache)
    found = inspect(only, cache)
    assert found.estimated_wrong is None
    assert len(found.notes) == 1
    assert "labels, strangers and shortcuts are not looked at" in found.notes[0]
    assert "has one class only ('dim')" in found.notes[0]


def test_pictures_that_are_all_equal_are_one_line(scenes: Path, cache: Path) -> None:
    data = (scenes / "train" / "dim" / "05.jpg").read_bytes()
    for path in scenes.rglob("*.jpg"):
        path.write_bytes(data)
    extract(scenes, cache)
    with pytest.raises(DataError, match="all 28 pictures of .* are the same picture"):
        inspect(scenes, cache)


def test_a_picture_gone_since_extraction_is_one_line(
    scenes: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["path,label"]
    lines += [f"{path.relative_to(scenes)},{path.parent.name}" for path in sorted(scenes.rglob("*.jpg"))]
    (scenes / "list.csv").write_text("\n".join(lines))
    extract(scenes / "list.csv", cache)
    (scenes / "train" / "dim" / "05.jpg").unlink()
    found = inspect(scenes / "list.csv", cache)
    assert [(Path(poor.path).name, poor.problem) for poor in found.poor_pictures] == [("05.jpg", "unreadable")]
    assert len([record for record in caplog.records if "05.jpg" in record.getMessage()]) == 1


def test_a_map_of_the_pictures_is_written_as_csv(featx: Featx, scenes: Path, cache: Path) -> None:
    extract(scenes, cache)
    words = ("inspect", scenes, "--base", "tiny", "--cache", cache, "-q", "--map", scenes.parent / "map.csv")
    assert featx(*words).exit_code == 0
    rows = list(csv.DictReader((scenes.parent / "map.csv").read_text().splitlines()))
    assert len(rows) == 28
    assert {row["label"] for row in rows} == {"dim", "light"}
    assert all(float(row["x"]) == float(row["x"]) for row in rows)
