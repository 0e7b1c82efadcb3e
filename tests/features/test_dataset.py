"""A data set is listed, digested and joined once, and broken images are named once."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.errors import DataError
from featx.evaluation.comparison import open_comparisons
from featx.features.dataset import load_dataset
from featx.requests import CompareRequest, ExtractRequest
from featx.store.store import FeatureStore
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features
from tests.conftest import picture, raises_missing

RANDOM = BaseChoice("tiny", "random")


def test_labels_groups_and_split_belong_to_the_rows(photos: Path, cache: Path) -> None:
    request = CompareRequest(str(photos), RANDOM, cache=cache)
    dataset = load_dataset(request, FeatureStore(cache), [])
    paths = [Path(path) for path in dataset.listing.paths]
    assert dataset.classes == ["blue", "green", "red"]
    assert [dataset.classes[code] for code in dataset.y] == [path.parent.name for path in paths]
    assert len(set(dataset.groups.tolist())) == len(paths)
    assert np.array_equal(dataset.train, ~dataset.test)
    assert dataset.digests.shape == (36, 32)
    assert dataset.split == "held out: a quarter, drawn with seed 42 (9 images); trained on the rest (27)"


def test_a_copy_of_a_picture_is_no_row_of_its_own(photos: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    request = CompareRequest(str(photos), RANDOM, cache=cache)
    once = load_dataset(request, FeatureStore(cache), [])
    shutil.copy(photos / "red" / "00.png", photos / "red" / "copy.png")
    dataset = load_dataset(request, FeatureStore(cache), [])
    assert dataset.digest == once.digest
    assert caplog.messages == ["1 row is a repetition of another and counts once"]


def test_a_class_that_is_one_picture_twice_has_one_image(photos: Path, cache: Path) -> None:
    (photos / "fern").mkdir()
    for name in ("a.png", "b.png"):
        picture(500, 0).save(photos / "fern" / name)
    with pytest.raises(DataError, match="has only one image of: fern. Every class needs at least two"):
        load_dataset(CompareRequest(str(photos), RANDOM, cache=cache), FeatureStore(cache), [])


@pytest.mark.slow
def test_several_bases_share_one_data_set_and_one_warning(
    photos: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "red" / "broken.png").write_bytes(b"broken")
    hog, lbp = BaseChoice("hog"), BaseChoice("lbp")
    for base, layer in ((RANDOM, "layer1"), (hog, "hog"), (lbp, "lbp")):
        extract_features(ExtractRequest(str(photos), base, (layer,), cache=cache))
    caplog.clear()
    request = CompareRequest(str(photos), RANDOM, classifiers=("logreg",), cache=cache, beside=(hog, lbp))
    comparisons = open_comparisons(request)
    assert len(comparisons) == 3
    assert all(comparison.dataset is comparisons[0].dataset for comparison in comparisons)
    (warning,) = [record.message for record in caplog.records]
    assert "broken.png' is left out: not an image" in warning
    assert {row.base for row in compare_layer_sets(request)} == {"tiny", "hog", "lbp"}
    assert {row.n_test for row in compare_layer_sets(request)} == {9}


def test_the_base_that_lacks_images_is_the_one_to_be_extracted(photos: Path, cache: Path) -> None:
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1",), cache=cache))
    extract_features(ExtractRequest(str(photos), BaseChoice("hog"), ("hog",), cache=cache))
    picture(77, 0).save(photos / "red" / "new.png")
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1",), cache=cache))
    request = CompareRequest(str(photos), RANDOM, cache=cache, beside=(BaseChoice("hog"),))
    with raises_missing("1 of 37 images has no features yet.*Run: .* --base hog --layer hog "):
        compare_layer_sets(request)


@pytest.mark.parametrize(("in_train", "fits"), [(0, False), (1, True)])
def test_a_training_part_needs_an_image_of_every_class(
    photos: Path, cache: Path, tmp_path: Path, in_train: int, fits: bool
) -> None:
    lines = ["path,label,split"]
    for path in sorted(photos.rglob("*.png")):
        is_test = path.parent.name == "red" and int(path.stem) >= in_train
        lines.append(f"{path},{path.parent.name},{'test' if is_test else 'train'}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines))
    request = CompareRequest(str(table), RANDOM, cache=cache)
    if fits:
        dataset = load_dataset(replace(request, seed=1), FeatureStore(cache), [])
        assert dataset.split == "held out: test (11 images); trained on train (25)"
        return
    with pytest.raises(DataError, match="at least one image of every class: 'red' has 12 images, all of them held out"):
        load_dataset(replace(request, seed=1), FeatureStore(cache), [])


def test_classes_of_which_nothing_is_held_out_are_named(
    photos: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["path,label,split"]
    for path in sorted(photos.rglob("*.png")):
        split = "test" if path.parent.name == "red" and path.stem == "00" else "train"
        lines.append(f"{path},{path.parent.name},{split}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    load_dataset(CompareRequest(str(tmp_path / "table.csv"), RANDOM, cache=cache), FeatureStore(cache), [])
    assert "no image of 'blue', 'green' is held out, so the accuracy says nothing of them" in caplog.text


def test_where_no_image_can_be_read_no_extraction_is_advised(photos: Path, cache: Path, tmp_path: Path) -> None:
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1",), cache=cache))
    for name in ("a", "b"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        (tmp_path / "broken" / name / "1.jpg").write_bytes(b"\xff\xd8\xff" + name.encode())
    request = CompareRequest(str(tmp_path / "broken"), RANDOM, ("layer1",), cache=cache)
    with pytest.raises(DataError, match=r"none of its 2 images can be read, '.*/a/1.jpg': "):
        open_comparisons(request)
