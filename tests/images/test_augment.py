from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from featx.images.augment import PRESETS, augment, make_views, stream
from featx.images.transform import to_pixels
from featx.keys import InputTransform
from tests.conftest import picture

IMAGENET, SQUARE = InputTransform(256, 224), InputTransform(32, 32)
NAME = b"\x01" * 32


def gradient(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8))


@pytest.mark.parametrize("transform", [IMAGENET, SQUARE])
def test_view_0_is_the_picture_as_it_is_and_view_1_its_mirror_image(transform: InputTransform) -> None:
    views = make_views(picture(1, 0, (300, 270)), transform, NAME, range(2))
    assert np.array_equal(views[0], to_pixels(picture(1, 0, (300, 270)), transform))
    assert np.array_equal(views[1], views[0][:, ::-1])


@pytest.mark.parametrize("transform", [IMAGENET, SQUARE])
def test_views_2_to_5_are_the_corners_two_of_them_mirrored(transform: InputTransform) -> None:
    views = make_views(gradient(600, 400), transform, NAME, range(2, 6))
    middles = {view: pixels.reshape(-1, 3).mean(0) for view, pixels in views.items()}
    for left, right in ((2, 3), (4, 5)):
        assert middles[left][0] < middles[right][0] - 30
    for top, bottom in ((2, 4), (3, 5)):
        assert middles[top][0] == pytest.approx(middles[bottom][0], abs=2)
        assert middles[top][1] < middles[bottom][1] - 15
    grows = [bool(views[view][0, -1, 0] > views[view][0, 0, 0]) for view in range(2, 6)]
    assert grows == [True, False, False, True]


@pytest.mark.parametrize("size", [(300, 200), (31, 500), (8, 8)])
def test_a_view_is_the_same_whenever_and_beside_whatever_it_is_made(size: tuple[int, int]) -> None:
    image = picture(3, 1, size)
    together = make_views(image, SQUARE, NAME, range(9))
    for view in reversed(range(9)):
        assert np.array_equal(make_views(image, SQUARE, NAME, [view])[view], together[view])
        assert together[view].shape == (32, 32, 3)


def test_random_views_depend_on_number_and_digest() -> None:
    image = picture(3, 1, (300, 200))
    views = make_views(image, IMAGENET, NAME, [6, 7])
    assert not np.array_equal(views[6], views[7])
    assert not np.array_equal(views[6], make_views(image, IMAGENET, b"\x02" * 32, [6])[6])


def test_the_preset_none_changes_nothing_and_the_others_do() -> None:
    image = picture(3, 1, (300, 200))
    plain = to_pixels(image, IMAGENET)
    for name, preset in PRESETS.items():
        changed = augment(image, IMAGENET, preset, stream("seed"))
        assert np.array_equal(changed, plain) == (name == "none")


def test_a_window_keeps_its_sides_alike_and_reaches_every_place() -> None:
    tops, lefts = [], []
    for number in range(60):
        pixels = augment(gradient(900, 300), IMAGENET, PRESETS["light"], stream(number)).astype(float)
        across = abs(pixels[:, -1, 0] - pixels[:, 0, 0]).mean() / 255 * 900
        down = abs(pixels[-1, :, 1] - pixels[0, :, 1]).mean() / 255 * 300
        assert 0.85 < across / down < 1.18  # no side is stretched more than the preset's 1.1
        lefts.append(pixels[..., 0].min())
        tops.append(pixels[..., 1].min())
    assert min(lefts) < 40
    assert max(lefts) > 120
    assert max(tops) - min(tops) > 25


def test_a_stream_is_the_same_for_ever() -> None:
    assert [round(stream("a", 1, NAME).random(), 6), round(stream("b").random(), 6)] == [0.334108, 0.299708]
