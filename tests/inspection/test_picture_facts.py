from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from featx.inspection.picture_facts import PictureFacts, measure_picture
from featx.inspection.picture_quality import find_poor_pictures
from featx.inspection.shift import compute_auc, find_auc_error, measure_shift
from featx.inspection.shortcuts import find_shortcuts
from tests.inspection.test_near_duplicates import scene


def measure(picture: Image.Image, kind: str = "PNG", **options: int) -> PictureFacts:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return measure_picture(data.getvalue(), picture.convert("RGB"))


def test_facts_are_of_the_file_as_it_lies_there() -> None:
    fact = measure(scene(0).convert("L"), "JPEG", quality=50)
    assert (fact.width, fact.height, fact.kind, fact.mode) == (240, 180, "JPEG", "L")
    assert fact.quality > measure(scene(0).convert("L"), "JPEG", quality=90).quality > 0
    assert measure(Image.new("RGB", (50, 50), "red")).colour == (1.0, 0.0, 0.0)


def test_each_kind_of_poor_picture_is_found_among_good_ones() -> None:
    pictures = [scene(seed) for seed in range(20)]
    odd = {
        "dark": pictures[0].point(lambda value: value // 5),
        "bright": Image.eval(pictures[1], lambda value: 245 + value // 30),
        "blank": Image.new("RGB", (240, 180), "grey"),
        "blurred": pictures[2].filter(ImageFilter.GaussianBlur(5)),
        "odd shape": pictures[3].resize((600, 70)),
        "odd size": pictures[4].resize((40, 30)),
        "colour mode L": pictures[5].convert("L"),
    }
    facts = {row: measure(picture) for row, picture in enumerate([*pictures, *odd.values()])}
    found = find_poor_pictures(facts)
    for place, problem in enumerate(odd):
        assert problem in {poor.problem for poor in found if poor.row == 20 + place}, problem
    assert {poor.row for poor in found} & set(range(20)) == set()


def test_what_most_pictures_have_is_no_problem() -> None:
    facts = {seed: measure(scene(seed).point(lambda value: value // 5)) for seed in range(6)}
    assert find_poor_pictures(facts) == []
    assert find_poor_pictures({}) == []


def test_a_class_that_is_saved_otherwise_is_a_shortcut_and_else_there_is_none() -> None:
    facts = {}
    y = np.arange(120) % 2
    for row in range(120):
        facts[row] = measure(scene(row), "JPEG", quality=85)
    groups = np.arange(120)
    assert not any(each.is_warned for each in find_shortcuts(facts, y, groups, 42))
    marked = {row: measure(scene(row), "JPEG", quality=60) if y[row] else facts[row] for row in facts}
    warned = {each.fact: each.accuracy for each in find_shortcuts(marked, y, groups, 42) if each.is_warned}
    assert warned["compression"] > 0.95
    larger = {row: replace(facts[row], width=200) if y[row] else facts[row] for row in facts}
    assert "size in pixels" in {each.fact for each in find_shortcuts(larger, y, groups, 42) if each.is_warned}
    assert find_shortcuts(facts, np.zeros(120, np.intp), groups, 42) == []


def test_parts_of_one_kind_cannot_be_told_apart_and_shifted_ones_can() -> None:
    X = np.random.default_rng(0).normal(size=(300, 20)).astype(np.float32)
    held_out = np.arange(300) % 3 == 0
    same = measure_shift(X, held_out, np.arange(300), 42)
    assert same is not None
    assert not same.is_warned
    assert same.low < 0.5
    X[held_out, :3] += 1.0
    shifted = measure_shift(X, held_out, np.arange(300), 42)
    assert shifted is not None
    assert shifted.is_warned
    assert shifted.auc > 0.8
    assert measure_shift(X, np.arange(300) < 4, np.arange(300), 42) is None


def test_the_area_counts_ties_by_half_and_its_error_shrinks() -> None:
    scores = np.array([0.1, 0.5, 0.5, 0.9])
    assert compute_auc(scores, np.array([False, False, True, True])) == 0.875
    assert find_auc_error(0.8, 400, 400) < find_auc_error(0.8, 40, 40) / 3
