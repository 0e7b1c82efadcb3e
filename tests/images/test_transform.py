from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms._presets import ImageClassification

from featx.images.normalise import to_input
from featx.images.transform import to_pixels
from featx.keys import InputTransform


def ours(image: Image.Image, transform: InputTransform) -> torch.Tensor:
    return to_input(torch.from_numpy(np.array(to_pixels(image, transform)))[None], transform)[0]


@pytest.mark.parametrize("size", [(300, 200), (200, 301), (256, 256), (231, 500), (64, 48), (1, 1), (1000, 3)])
def test_the_input_is_torchvisions_bit_for_bit(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    preset = ImageClassification(crop_size=224, resize_size=256)
    assert torch.equal(ours(image, InputTransform(256, 224)), preset(image))


@pytest.mark.weights
def test_real_photos_come_out_as_torchvisions_do(shared: Path) -> None:
    preset = ImageClassification(crop_size=224, resize_size=256)
    photos = sorted((shared / "data" / "hymenoptera" / "val").rglob("*.jpg"))[:20]
    for photo in photos:
        with Image.open(photo) as file:
            image = file.convert("RGB")
        assert torch.equal(ours(image, InputTransform(256, 224)), preset(image))
