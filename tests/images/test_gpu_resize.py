"""Pictures that a device resizes are Pillow's to the last bit; the device is the CPU here, with the same arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from featx.images.gpu_resize import PICTURES_PER_PRODUCT, DeviceResizer
from featx.images.transform import to_pixels
from featx.keys import InputTransform

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
PRESETS = [(256, 224), (232, 224), (224, 224), (32, 32), (518, 518), (64, 50)]


def pictures(count: int, seed: int) -> list[np.ndarray]:
    """Noise of all sizes, every third picture in black and white, whose edges go beyond what a pixel holds."""
    draw = np.random.default_rng(seed)
    made = [draw.integers(0, 256, (*draw.integers(1, 700, 2), 3), dtype=np.uint8) for _ in range(count)]
    return [image if place % 3 else (image > 127).astype(np.uint8) * 255 for place, image in enumerate(made)]


def by_pillow(images: list[np.ndarray], transform: InputTransform) -> np.ndarray:
    return np.stack([to_pixels(Image.fromarray(image), transform) for image in images])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("resize", "crop"), PRESETS)
def test_every_pixel_is_pillows(resize: int, crop: int, interpolation: str) -> None:
    transform = InputTransform(resize, crop, interpolation)
    resizer = DeviceResizer(transform, CPU)
    images = [image for image in pictures(60, resize + crop) if resizer.takes(Image.fromarray(image))]
    images.append(np.random.default_rng(0).integers(0, 256, (resize, resize + 7, 3), dtype=np.uint8))
    assert len(images) > PICTURES_PER_PRODUCT
    assert resizer.is_exact
    assert np.array_equal(resizer(images).numpy(), by_pillow(images, transform))


def test_what_is_resized_already_stays_as_it_is() -> None:
    transform = InputTransform(64, 50)
    images = [*pictures(2, 1), np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)]
    pixels = DeviceResizer(transform, CPU)(images).numpy()
    assert np.array_equal(pixels[2], images[2])
    assert np.array_equal(pixels[:2], by_pillow(images[:2], transform))


@pytest.mark.parametrize(
    ("size", "interpolation"),
    [((100, 200), "bilinear"), ((2000, 1000), "bilinear"), ((40, 40), "bilinear"), ((80, 60), "nearest")],
    ids=["tall", "large", "of the crop's size", "nearest"],
)
def test_some_pictures_are_left_to_pillow(size: tuple[int, int], interpolation: str) -> None:
    resizer = DeviceResizer(InputTransform(48, 40, interpolation), CPU)
    assert not resizer.takes(Image.new("RGB", size))
    assert resizer.takes(Image.new("RGB", (80, 60))) == (interpolation != "nearest")


def test_sums_never_outgrow_float32() -> None:
    # A target pixel of as many source pixels as are taken, all of them white.
    resizer = DeviceResizer(InputTransform(8, 8), CPU)
    sides = [side for side in range(8, 1025, 8) if resizer.takes(Image.new("RGB", (side, side)))]
    white = np.full((sides[-1], sides[-1], 3), 255, np.uint8)
    assert 900 < sides[-1] < 1024
    assert (resizer([white]) == 255).all()


class InexactDevice(DeviceResizer):
    """A device whose arithmetic is not Pillow's."""

    def resize(self, images: list[np.ndarray]) -> torch.Tensor:
        return torch.zeros((len(images), 50, 50, 3), dtype=torch.uint8)


class FullDevice(DeviceResizer):
    """A device that has no memory left."""

    def resize(self, images: list[np.ndarray]) -> torch.Tensor:
        raise torch.OutOfMemoryError


@pytest.mark.parametrize("device", [InexactDevice, FullDevice])
def test_pillow_does_what_the_device_cannot(device: type[DeviceResizer], caplog: pytest.LogCaptureFixture) -> None:
    images = pictures(3, 2)
    transform = InputTransform(64, 50)
    resizer = device(transform, CPU)
    assert resizer.takes(Image.new("RGB", (80, 60)))
    with caplog.at_level("INFO"):
        pixels = resizer(images).numpy()
    assert np.array_equal(pixels, by_pillow(images, transform))
    assert "CPU" in caplog.text
    assert not resizer.takes(Image.new("RGB", (80, 60))), "from now on threads resize what they decode"


@pytest.mark.weights
def test_photos_too(shared: Path) -> None:
    transform = InputTransform(256, 224)
    resizer, images = DeviceResizer(transform, CPU), []
    for photo in sorted((shared / "data" / "hymenoptera" / "val").rglob("*.jpg"))[:20]:
        with Image.open(photo) as file:
            images.append(np.asarray(file.convert("RGB")))
    images = [image for image in images if resizer.takes(Image.fromarray(image))]
    assert len(images) > 10
    assert np.array_equal(resizer(images).numpy(), by_pillow(images, transform))


@pytest.mark.gpu
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("resize", "crop"), PRESETS)
def test_every_pixel_of_a_gpu_is_pillows(resize: int, crop: int, interpolation: str) -> None:
    transform = InputTransform(resize, crop, interpolation)
    resizer = DeviceResizer(transform, torch.device("cuda"))
    images = [image for image in pictures(60, resize + crop) if resizer.takes(Image.fromarray(image))]
    assert resizer.is_exact
    pixels = resizer(images)
    assert pixels.is_cuda
    assert np.array_equal(pixels.cpu().numpy(), by_pillow(images, transform))
