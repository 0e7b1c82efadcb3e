"""A picture counts once, whatever it is called, and never on both sides of an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.data.listing import DigestedListing, Listing
from featx.data.sources.image_files import ON_DISK
from featx.errors import DataError
from featx.features.duplicates import count_once
from featx.requests import CompareRequest, ExtractRequest, FinetuneRequest
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features
from featx.workflows.finetune import extractions, finetune_base

RANDOM = BaseChoice("tiny", "random")


def make_digested(labels: list[str], splits: list[str], digests: list[int]) -> DigestedListing:
    paths = [f"{n}.jpg" for n in range(len(labels))]
    repeated = np.repeat(np.array(digests, np.uint8)[:, None], 32, axis=1)
    return DigestedListing(Listing("x", paths, labels, splits, ON_DISK), repeated)


def test_without_copies_every_row_counts_and_nothing_is_said() -> None:
    counted = count_once(make_digested(["a", "b"], ["", ""], [1, 2]))
    assert counted.rows == [0, 1]
    assert counted.remarks == []


def test_of_equal_rows_the_first_counts() -> None:
    counted = count_once(make_digested(["a", "b", "a", "a", "b"], [""] * 5, [1, 2, 1, 1, 2]))
    assert counted.rows == [0, 1]
    assert counted.remarks == ["3 rows are repetitions of others and count once"]


def test_copies_in_train_and_val_are_repetitions_where_both_are_trained_on() -> None:
    counted = count_once(make_digested(["a", "a", "b"], ["train", "val", "test"], [1, 1, 2]))
    assert counted.rows == [0, 2]
    assert counted.remarks == ["1 row is a repetition of another and counts once"]


def test_a_picture_on_both_sides_is_trained_on_and_not_held_out() -> None:
    counted = count_once(make_digested(["a", "a", "b"], ["test", "train", "test"], [1, 1, 2]))
    assert counted.rows == [1, 2]
    assert counted.remarks == [
        "1 image lies in two splits: '0.jpg' and '1.jpg' are the same picture; it is trained on and not held out"
    ]


def test_a_picture_with_two_labels_counts_nowhere() -> None:
    counted = count_once(make_digested(["a", "b", "b", "a", "b", "a"], [""] * 6, [1, 1, 2, 3, 3, 4]))
    assert counted.rows == [2, 5]
    assert counted.remarks == [
        "2 images bear two labels: '0.jpg' and '1.jpg' are the same picture; they are left out of both parts"
    ]


def test_a_class_of_which_nothing_is_left_is_an_error() -> None:
    with pytest.raises(DataError, match="every image of 'c' bears another label as well"):
        count_once(make_digested(["a", "b", "a", "c"], [""] * 4, [1, 2, 3, 3]))


def test_a_held_out_part_that_is_a_copy_of_the_training_part_is_an_error() -> None:
    with pytest.raises(DataError, match="every held-out image is in the training part as well"):
        count_once(make_digested(["a", "b", "a", "b"], ["train", "train", "test", "test"], [1, 2, 1, 2]))


def write_table(photos: Path, times: int, with_split: bool) -> Path:
    lines = ["path,label,split" if with_split else "path,label"]
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        split = ",test" if number % 4 == 0 else ",train"
        lines += [f"{path},{path.parent.name}{split if with_split else ''}"] * times
    table = photos / f"{times}-{with_split}.csv"
    table.write_text("\n".join(lines))
    return table


@pytest.mark.parametrize("with_split", [False, True])
def test_photos_listed_twice_give_the_table_of_photos_listed_once(photos: Path, cache: Path, with_split: bool) -> None:
    rows = {}
    for times in (1, 2):
        table = str(write_table(photos, times, with_split))
        extract_features(ExtractRequest(table, RANDOM, ("layer1", "layer3"), cache=cache))
        request = CompareRequest(table, RANDOM, classifiers=("logreg", "svm"), cache=cache, refit=True)
        rows[times] = compare_layer_sets(request)
    for once, twice in zip(rows[1], rows[2], strict=True):
        figures = [{**row.to_dict(), "fit_seconds": 0} for row in (once, twice)]
        assert figures[0] == figures[1]


def test_fine_tuning_counts_photos_once(photos: Path, cache: Path, tmp_path: Path) -> None:
    table = str(write_table(photos, 2, True))
    request = FinetuneRequest(
        table, RANDOM, start="layer4", out=tmp_path / "m.featx", cache=cache, views=1, epochs=1, device="cpu"
    )
    from featx.finetuning.plan import plan

    for extraction in extractions(request, plan(request)):
        extract_features(extraction)
    report = finetune_base(request)
    assert (report.head.result.n_train, report.head.result.n_test) == (27, 9)
    assert report.to_dict()["split"] == "held out: test (9 images); trained on train (27)"
