"""The box that a crop keeps has the pixels of resizing everything and cropping, to the last bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from featx.images.augment import make_views
from featx.images.gpu_resize import DeviceResizer
from featx.images.resampling import resize_box
from featx.images.transform import FILTERS, compute_crop_box, is_elongated, scale_size, to_pixels
from featx.keys import InputTransform

INTERPOLATIONS = sorted(FILTERS)
SIDES = st.integers(1, 400) | st.integers(1, 20) | st.integers(1000, 3000)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Noise; of odd seeds black and white, whose edges go beyond what a pixel holds."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray((pixels > 127).astype(np.uint8) * 255 if seed % 2 else pixels)


def by_pillow(image: Image.Image, size: tuple[int, int], box: tuple[int, int, int, int], name: str) -> np.ndarray:
    return np.asarray(image.resize(size, FILTERS[name]).crop(box))


@given(
    width=SIDES,
    height=SIDES,
    goal_width=st.integers(1, 900),
    goal_height=st.integers(1, 900),
    left=st.integers(-20, 899),
    top=st.integers(-20, 899),
    sides=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    interpolation=st.sampled_from(INTERPOLATIONS),
    seed=st.integers(0, 3),
)
@settings(deadline=None, max_examples=200)
def test_a_box_is_cut_from_what_pillow_would_make(
    width: int,
    height: int,
    goal_width: int,
    goal_height: int,
    left: int,
    top: int,
    sides: tuple[int, int],
    interpolation: str,
    seed: int,
) -> None:
    image = noise(width, min(height, 300_000 // width + 1), seed)
    size = (goal_width, goal_height)
    left = min(left, goal_width - 1)
    top = min(top, goal_height - 1)
    box = (left, top, left + sides[0], top + sides[1])
    ours = resize_box(image, size, box, interpolation)
    assert np.array_equal(ours, by_pillow(image, size, box, interpolation))


@given(
    shorter=st.integers(1, 300),
    ratio=st.floats(4, 400),
    is_tall=st.booleans(),
    resize=st.integers(8, 512),
    margin=st.floats(0.6, 1.3),
    interpolation=st.sampled_from(INTERPOLATIONS),
    seed=st.integers(0, 3),
)
@example(1, 3000.0, True, 232, 0.966, "bilinear", 0)
@example(1, 3000.0, False, 232, 0.966, "bicubic", 0)
@example(2, 900.0, True, 256, 0.875, "bicubic", 1)
@settings(deadline=None, max_examples=100)
def test_an_elongated_picture_keeps_the_pixels_of_resizing_it_whole(
    shorter: int, ratio: float, is_tall: bool, resize: int, margin: float, interpolation: str, seed: int
) -> None:
    longer = min(int(shorter * ratio) + 1, 3_000_000 // resize**2 * shorter + 1)
    image = noise(shorter, longer, seed) if is_tall else noise(longer, shorter, seed)
    crop = max(1, int(resize * margin))
    size = scale_size(image.width, image.height, resize)
    box = compute_crop_box(*size, crop)
    assert np.array_equal(resize_box(image, size, box, interpolation), by_pillow(image, size, box, interpolation))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("size", [(40, 5000), (5000, 40), (1, 900), (900, 1), (300, 12000), (12000, 300)])
def test_the_transform_takes_the_box_where_the_whole_is_large(size: tuple[int, int], interpolation: str) -> None:
    transform = InputTransform(232, 224, interpolation)
    image = noise(*size)
    resized = scale_size(*size, 232)
    expected = by_pillow(image, resized, compute_crop_box(*resized, 224), interpolation)
    assert is_elongated(*resized) == (max(size) > 100 * min(size))
    assert np.array_equal(to_pixels(image, transform), expected)


@pytest.mark.parametrize("size", [(10, 2000), (2000, 10)])
def test_corners_of_an_elongated_picture_are_those_of_the_whole(size: tuple[int, int]) -> None:
    transform = InputTransform(232, 224)
    image = noise(*size)
    resized = scale_size(*size, math.ceil(224 * 8 / 7))
    assert is_elongated(*resized)
    whole = image.resize(resized, Image.Resampling.BILINEAR)
    views = make_views(image, transform, b"", range(6))
    right = resized[0] - 224
    bottom = resized[1] - 224
    assert np.array_equal(views[2], np.asarray(whole.crop((0, 0, 224, 224))))
    assert np.array_equal(views[3][:, ::-1], np.asarray(whole.crop((right, 0, right + 224, 224))))
    assert np.array_equal(views[4][:, ::-1], np.asarray(whole.crop((0, bottom, 224, bottom + 224))))
    assert np.array_equal(views[5], np.asarray(whole.crop((right, bottom, right + 224, bottom + 224))))


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (2, 1_000_000), (1_000_000, 2), (1, 20_000_000)])
def test_the_most_elongated_pictures_take_little_memory(size: tuple[int, int]) -> None:
    import tracemalloc

    image = Image.new("RGB", size, (10, 20, 30))
    tracemalloc.start()
    views = make_views(image, InputTransform(232, 224), b"digest", range(8))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all((view == [10, 20, 30]).all() for number, view in views.items() if number < 6)
    assert peak < 30_000_000


def test_a_device_never_gets_a_long_picture() -> None:
    import torch

    resizer = DeviceResizer(InputTransform(232, 224), torch.device("cpu"))
    assert not resizer.takes(Image.new("RGB", (4097, 200)))
    assert resizer.takes(Image.new("RGB", (4096, 200)))


@pytest.mark.weights
def test_photos_too(shared: Path) -> None:
    for photo in sorted((shared / "data" / "hymenoptera" / "val").rglob("*.jpg"))[:20]:
        with Image.open(photo) as file:
            image = file.convert("RGB")
        size = scale_size(image.width, image.height, 232)
        box = compute_crop_box(*size, 224)
        for interpolation in INTERPOLATIONS:
            assert np.array_equal(
                resize_box(image, size, box, interpolation), by_pillow(image, size, box, interpolation)
            )
