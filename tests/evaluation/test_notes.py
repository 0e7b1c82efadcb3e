"""Notes are there where there is something to note, and only there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from featx.data.listing import DigestedListing, Listing
from featx.data.sources.image_files import ON_DISK
from featx.evaluation.notes import note_data, note_edge, note_row
from featx.evaluation.result import Evaluation, HeldOutPredictions, Result
from featx.features.dataset import Dataset

RESULT = Result(
    base="tiny",
    layer="layer3",
    pooling="avg",
    clf="logreg",
    dim=4,
    n_train=60,
    n_test=40,
    cv_accuracy=0.9,
    test_accuracy=0.9,
    ci_low=0.8,
    ci_high=1.0,
    macro_f1=0.9,
    fit_seconds=1.0,
    params={"C": 100.0},
    balanced_accuracy=0.9,
    top5_accuracy=None,
    calibration_error=0.0,
)


def make_dataset(test_counts: tuple[int, int], **more: Any) -> Dataset:
    """Two classes, twice as many cats to train on as dogs, and so many of either held out."""
    y = np.array([0] * 40 + [1] * 20 + [0] * test_counts[0] + [1] * test_counts[1])
    test = np.arange(len(y)) >= 60
    names = tuple(f"{row}.png" for row in range(len(y)))
    labels = tuple("cat" if code == 0 else "dog" for code in y.tolist())
    listing = Listing("pets", names, labels, ("",) * len(y), ON_DISK)
    digests = np.zeros((len(y), 32), np.uint8)
    return Dataset(DigestedListing(listing, digests), ["cat", "dog"], y, np.arange(len(y)), test, **more)


def evaluate(predicted: np.ndarray, **change: Any) -> Evaluation:
    return Evaluation(replace(RESULT, **change), HeldOutPredictions(predicted, np.ones(len(predicted))))


def test_who_says_what_the_dummy_says_is_not_better_and_who_is_right_is() -> None:
    dataset = make_dataset((20, 20))
    always_cat = evaluate(np.zeros(40, int))
    assert note_row(always_cat, dataset) == (
        "not better than the dummy ('cat', test accuracy 0.500) beyond chance, by McNemar's test",
    )
    assert note_row(evaluate(dataset.y[dataset.test]), dataset) == ()


def test_a_difference_of_a_few_images_is_chance_and_one_of_many_is_not() -> None:
    dataset = make_dataset((20, 20))
    truth = dataset.y[dataset.test]
    for right, is_noted in ((5, True), (6, False)):
        predicted = np.zeros(40, int)
        predicted[20 : 20 + right] = 1
        assert bool(note_row(evaluate(predicted), dataset)) is is_noted
    worse = 1 - truth
    assert note_row(evaluate(worse), dataset)


def test_the_dummy_itself_is_not_noted() -> None:
    assert note_row(evaluate(np.zeros(40, int), clf="dummy", params={}), make_dataset((20, 20))) == ()


def test_a_value_at_the_edge_of_all_that_were_tried_is_noted() -> None:
    inside = evaluate(np.zeros(40, int))
    assert note_edge(inside) is None
    assert note_edge(replace(inside, edge="highest")) == (
        "C = 100 is the highest that was tried: one beyond it may do better"
    )


def test_one_split_is_noted_with_what_it_tells() -> None:
    dataset = make_dataset((20, 20))
    assert note_data(dataset) == ()
    many = np.repeat(np.arange(len(dataset.y)), 500)
    larger = replace(dataset, y=dataset.y[many], test=dataset.test[many], groups=np.arange(len(many)))
    (note,) = note_data(larger)
    assert note == (
        "so many images are validated on one split, 80/20, instead of 5 folds: "
        "6000 images tell an accuracy to 0.6 points"
    )


def test_classes_of_few_held_out_images_are_named_the_smallest_first() -> None:
    assert note_data(make_dataset((20, 10))) == ()
    assert note_data(make_dataset((20, 9))) == (
        "1 class has fewer than 10 held-out images ('dog' 9): what is said of them is rough",
    )
    (note,) = note_data(make_dataset((4, 0)))
    assert note.startswith("2 classes have fewer than 10 held-out images ('dog' 0, 'cat' 4)")


def test_pictures_on_both_sides_of_a_split_are_noted() -> None:
    dataset = make_dataset((20, 20), on_both_sides="1 image lies in two splits")
    assert note_data(dataset) == ("1 image lies in two splits",)


def test_weights_that_a_classifier_cannot_take_are_noted() -> None:
    dataset = make_dataset((20, 20))
    truth = dataset.y[dataset.test]
    listing = replace(dataset.listing, weights=np.where(dataset.y == 0, 0.1, 1.0))
    weighted = replace(dataset, manifest=replace(dataset.manifest, listing=listing))
    assert note_row(evaluate(truth, clf="knn"), weighted, "balanced") == (
        "class weights and weights of images make no difference",
    )
    assert note_row(evaluate(truth, clf="knn"), weighted) == ("weights of images make no difference",)
    assert note_row(evaluate(truth, clf="dummy"), weighted, "balanced") == ("class weights make no difference",)
    for clf in ("logreg", "finetuned"):
        assert note_row(evaluate(truth, clf=clf), weighted, "balanced") == ()
    always_cat = evaluate(np.zeros(40, int))
    assert note_row(always_cat, weighted)[0].startswith("not better than the dummy ('dog', test accuracy 0.500)")
