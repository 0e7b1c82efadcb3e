"""A data set is listed, digested and joined once, and broken images are named once."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.data.listing import DigestedListing
from featx.errors import DataError
from featx.evaluation.comparison import open_comparisons
from featx.features.dataset import join_dataset, list_dataset, load_dataset
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


def weigh(manifest: DigestedListing, weights: list[float]) -> DigestedListing:
    """Give the images of a data set weights."""
    return replace(manifest, listing=replace(manifest.listing, weights=np.array(weights)))


def test_an_image_of_weight_zero_is_not_there(photos: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    request = CompareRequest(str(photos), RANDOM, cache=cache)
    manifest = list_dataset(request)
    caplog.set_level("INFO")
    weighted = join_dataset(request, weigh(manifest, [0.0, 0.0] + [1.0] * 34))
    rows = list(range(2, 36))
    removed = DigestedListing(manifest.listing.subset(rows), manifest.digests[rows])
    assert weighted.digest == join_dataset(request, removed).digest
    assert weighted.weights is None
    assert "2 images have weight 0 and are left out" in caplog.messages


def test_weights_belong_to_their_images_and_to_what_results_depend_on(photos: Path, cache: Path) -> None:
    request = CompareRequest(str(photos), RANDOM, cache=cache)
    manifest = list_dataset(request)
    plain = join_dataset(request, manifest)
    weights = [1.0 + row for row in range(36)]
    weighted = join_dataset(request, weigh(manifest, weights))
    assert weighted.weights is not None
    assert weighted.weights.tolist() == weights
    assert weighted.digest != plain.digest
    assert join_dataset(request, weigh(manifest, [1.0] * 36)).digest == plain.digest
    assert plain.weighting("none") is None
    weighting = weighted.weighting("red=2")
    assert weighting is not None
    assert weighting.classes == {2: 2.0}
    assert weighting.take(np.array([3])).rows == pytest.approx([4.0])


def test_copies_take_the_weight_of_the_row_that_counts(
    photos: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(photos / "red" / "00.png", photos / "red" / "copy.png")
    request = CompareRequest(str(photos), RANDOM, cache=cache)
    manifest = list_dataset(request)
    first = next(row for row, path in enumerate(manifest.listing.paths) if path.endswith("red/00.png"))
    weights = [1.0] * 37
    weights[first] = 3.0
    dataset = join_dataset(request, weigh(manifest, weights))
    assert dataset.weights is not None
    assert sorted(dataset.weights.tolist()) == [1.0] * 35 + [3.0]
    assert "1 image has two weights" in caplog.text
    assert "the weight of the row that counts is taken" in caplog.text


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_of_images_that_make_no_sense_are_refused(photos: Path, cache: Path, bad: float) -> None:
    request = CompareRequest(str(photos), RANDOM, cache=cache)
    with pytest.raises(DataError, match="photos': 1 of 36 weights cannot be used, such as .* of row 0"):
        join_dataset(request, weigh(list_dataset(request), [bad] + [1.0] * 35))
