from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from featx.inspection import near_duplicates as module
from featx.inspection.near_duplicates import (
    Pairs,
    choose_threshold,
    confirm_pairs,
    group_pairs,
    join_pairs,
    propose_by_pixels,
    propose_pairs,
)
from featx.inspection.neighbours import Neighbours, find_neighbours
from featx.inspection.same_pixels import Windows, compare_windows, is_comparable, make_thumbnail


def scene(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Blobs of several sizes on a gradient."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3)).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return Image.blend(coarse, fine, 0.4)


def encode(picture: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return Image.open(data).convert("RGB")


CHANGES = {
    "re-encoded": lambda picture: encode(picture, 30),
    "half size": lambda picture: picture.resize((120, 90)),
    "cropped in the corner": lambda picture: picture.crop((0, 0, 216, 162)),
    "cropped around": lambda picture: picture.crop((12, 9, 228, 171)),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
}


@pytest.mark.parametrize("change", CHANGES)
def test_pixels_of_a_changed_copy_are_the_same(change: str) -> None:
    for seed in range(4):
        picture = scene(seed)
        copy = CHANGES[change](picture)
        match = compare_windows(Windows(make_thumbnail(picture)), Windows(make_thumbnail(copy)))
        assert match.is_same(), (change, seed, match)


def test_pixels_of_other_pictures_are_not() -> None:
    thumbnails = [Windows(make_thumbnail(scene(seed))) for seed in range(8)]
    for first in range(8):
        for second in range(first):
            assert not compare_windows(thumbnails[first], thumbnails[second]).is_same()


def test_a_common_shading_alone_makes_no_copy() -> None:
    shading = np.linspace(0, 200, 160)[:, None] * np.ones((1, 160))
    pictures = []
    for seed in range(2):
        grain = np.random.default_rng(seed).normal(0, 12, (160, 160))
        pictures.append(Image.fromarray(np.clip(shading + grain, 0, 255).astype(np.uint8)).convert("RGB"))
    match = compare_windows(*(Windows(make_thumbnail(picture)) for picture in pictures))
    assert match.correlation > 0.85
    assert not match.is_same()


def stripe(seed: int, angle: float) -> Image.Image:
    """A bright stripe in a direction, on grain of its own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-90:90, -120:120]
    across = x * np.sin(angle) + y * np.cos(angle) + rng.uniform(-6, 6)
    pixels = 60 + 160 * np.exp(-((across / 14) ** 2)) + rng.normal(0, 10, (30, 40)).repeat(6, 0).repeat(6, 1)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 160])
def test_a_common_stripe_alone_makes_no_copy(degrees: int) -> None:
    first, second = (stripe(seed, np.radians(degrees)) for seed in range(2))
    match = compare_windows(*(Windows(make_thumbnail(picture)) for picture in (first, second)))
    assert match.correlation > 0.85
    assert not match.is_same()
    for change in ("re-encoded", "half size", "cropped around", "mirrored"):
        copy = CHANGES[change](first)
        assert compare_windows(*(Windows(make_thumbnail(picture)) for picture in (first, copy))).is_same(), change


@pytest.mark.parametrize(("factor", "shift"), [(1.0, -90), (1.7, 0), (2.0, 0)])
def test_copies_that_lost_what_was_bright_or_dark_are_the_same_and_other_pictures_are_not(
    factor: float, shift: float
) -> None:
    for seed in range(4):
        grey, other = (scene(each).convert("L") for each in (seed, seed + 10))
        changed = np.clip(np.asarray(grey, np.float32) * factor + shift, 0, 255).astype(np.uint8)
        copy = Windows(make_thumbnail(encode(Image.fromarray(changed).convert("RGB"), 90)))
        assert max(copy.white, copy.black) > 0.1
        assert compare_windows(Windows(make_thumbnail(grey)), copy).is_same()
        assert not compare_windows(Windows(make_thumbnail(other)), copy).is_same()


def test_stripes_and_nothing_else_are_compared_by_their_stripes() -> None:
    pixels = np.repeat(np.random.default_rng(0).integers(0, 255, 40).astype(np.uint8), 4)
    picture = Image.fromarray(np.tile(pixels, (160, 1))).convert("RGB")
    assert compare_windows(*(Windows(make_thumbnail(each)) for each in (picture, encode(picture, 90)))).is_same()


def test_flat_and_tiny_pictures_are_never_the_same_by_pixels() -> None:
    flat = Windows(make_thumbnail(Image.new("RGB", (64, 64), "grey")))
    assert not compare_windows(flat, flat).is_same()
    assert not is_comparable(Image.new("RGB", (8, 80)))
    assert not compare_windows(flat, Windows(make_thumbnail(scene(0).filter(ImageFilter.GaussianBlur(3))))).is_same()


def test_the_threshold_follows_the_distances_of_those_that_are_no_exact_copies() -> None:
    similarities = np.array([[1.0], [1.0], [0.8], [0.8], [0.7]], np.float32)
    neighbours = Neighbours(np.array([[1], [0], [3], [2], [2]]), similarities)
    assert choose_threshold(neighbours) == pytest.approx(1 - 1.25 * 0.2)
    assert len(propose_pairs(neighbours)) == 2
    assert len(propose_pairs(neighbours, 0.5)) == 3
    everything_equal = Neighbours(neighbours.places, np.ones((5, 1), np.float32))
    assert choose_threshold(everything_equal) > 0.9999


def test_pairs_that_share_a_picture_are_one_group() -> None:
    pairs = Pairs(np.array([0, 1, 4, 6]), np.array([1, 2, 5, 7]), np.array([0.9, 0.8, 0.95, 0.7], np.float32), 0.5)
    found = group_pairs(pairs.take(np.array([0, 1, 2])))
    assert found.groups == [[0, 1, 2], [4, 5]]
    assert found.weakest[0] == pytest.approx(0.8)


def test_equal_bytes_need_no_thumbnail_and_other_pairs_do() -> None:
    pairs = propose_pairs(find_neighbours(np.eye(3, dtype=np.float32)[[0, 0, 1]], 1), 0.0)
    confirmed = confirm_pairs(pairs, lambda first, second: (first, second) == (0, 1), {})
    assert (confirmed.first.tolist(), confirmed.second.tolist()) == ([0], [1])


def make_pairs(second: list[int]) -> Pairs:
    """Pairs of row 0 and others."""
    return Pairs(np.zeros(len(second), np.intp), np.array(second), np.full(len(second), 0.9, np.float32), 0.5)


def test_a_list_is_given_up_after_so_many_pairs_in_vain_and_another_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_VAIN", 3)
    lists = [make_pairs([1, 2, 3, 4, 5, 6, 7]), make_pairs([7, 8])]
    confirmed = [confirm_pairs(each, lambda first, second: second in (3, 7), {}) for each in lists]
    assert [each.second.tolist() for each in confirmed] == [[3], [7]]
    assert group_pairs(join_pairs(confirmed)).groups == [[0, 3, 7]]


def test_pairs_by_pixels_are_those_of_a_picture_and_its_copy_or_mirror_image_the_nearest_first() -> None:
    pictures = [scene(0), encode(scene(1), 5), scene(2), ImageOps.mirror(encode(scene(0), 95)), scene(1)]
    thumbnails = {row: make_thumbnail(picture) for row, picture in enumerate(pictures)}
    pairs = propose_by_pixels(thumbnails, np.eye(5, dtype=np.float32))
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [(0, 3), (1, 4)]
    assert pairs.similarities.tolist() == [0, 0]
    assert len(propose_by_pixels({0: thumbnails[0]}, np.eye(1, dtype=np.float32))) == 0
