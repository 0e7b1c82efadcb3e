"""Pictures in memory and data sets of Torch, written as shards: the same pixels, digests and classes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featx
from featx.data.given_images import write_ppm
from featx.data.sources import list_images
from featx.errors import DataError, StoreError
from tests.conftest import picture
from tests.data.sources.archives.making import make_photos, write_folder


class Pairs:
    """A data set as Torch has them: it ends by its length only."""

    classes = ("ants", "bees")

    def __init__(self, count: int = 6) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Any, int]:
        return picture(number, number % 2), number % 2


def test_a_data_set_gives_its_pictures_and_the_names_of_its_classes(tmp_path: Path) -> None:
    listing = list_images(str(featx.save_images(Pairs(), tmp_path / "a.tar")))
    assert listing.labels == ["ants", "bees"] * 3
    assert [listing.read(path) for path in listing.paths] == [write_ppm(picture(row, row % 2)) for row in range(6)]


def test_splits_are_shards_of_a_folder(tmp_path: Path) -> None:
    data = featx.save_images({"train": Pairs(4), "test": Pairs(2)}, tmp_path / "data")
    assert list_images(str(data)).splits == ["test"] * 2 + ["train"] * 4
    with pytest.raises(DataError, match="the splits are 'train', 'other': name them train, val or test"):
        featx.save_images({"train": Pairs(), "other": Pairs()}, tmp_path / "data")


def test_pictures_with_labels_beside_them_in_every_form_are_the_same(tmp_path: Path) -> None:
    import torch

    pictures = [picture(number, 0) for number in range(3)]
    arrays = [np.asarray(each) for each in pictures]
    tensors = [torch.from_numpy(array.copy()).permute(2, 0, 1) for array in arrays]

    def pairs() -> Iterator[tuple[Any, Any]]:
        yield from zip(pictures, torch.tensor([5, 6, 7]), strict=True)

    made = [
        featx.save_images(pictures, tmp_path / "0.tar", labels=[5, 6, 7]),
        featx.save_images(arrays, tmp_path / "1.tar", labels=["5", "6", "7"]),
        featx.save_images(tensors, tmp_path / "2.tar", labels=np.array([5, 6, 7])),
        featx.save_images(pairs(), tmp_path / "3.tar"),
    ]
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in made}) == 1


def test_an_image_folder_of_torchvision_gives_its_own_files(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import ToTensor

    folder = write_folder(tmp_path / "photos", make_photos())
    shard = featx.save_images(ImageFolder(str(folder), ToTensor()), tmp_path / "photos.tar")
    expected, found = list_images(str(folder)), list_images(str(shard))
    assert [found.read(path) for path in found.paths] == [expected.read(path) for path in expected.paths]
    assert found.labels == expected.labels


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no pairs": ([picture(0, 0)], {}, "image 0 is of type Image: give pairs of picture and label"),
    "no picture": ([("text", "ants"), (3, "ants")], {}, "image 0 cannot be read: "),
    "floats": ([(np.zeros((4, 4, 3)), 1)], {}, "image 0 is an array of shape .* and dtype float64"),
    "no label": ([(picture(0, 0), None)], {}, "image 0 has the label None: labels are numbers or names"),
    "a label beyond the classes": (
        [(picture(0, 0), 2)],
        {"classes": ["a", "b"]},
        "has the label 2, and there are 2",
    ),
    "too few labels": ([picture(0, 0)] * 3, {"labels": [1, 2]}, "there are 2 labels, and another number of images"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_labelled_picture_is_refused_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    images, options, match = REFUSED[case]
    with pytest.raises(DataError, match=match):
        featx.save_images(images, tmp_path / "a.tar", **options)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_one_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="'.*a.tar' cannot be written"):
        featx.save_images(Pairs(), tmp_path / "file" / "a.tar")
    with pytest.raises(DataError, match="must end in .tar"):
        featx.save_images(Pairs(), tmp_path / "a.zip")
