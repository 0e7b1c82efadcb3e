"""Features of a listing are those of the network, wherever pictures are resized and computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from featx.data.given_images import list_given_images
from featx.data.loading_process import can_load_in_processes
from featx.data.sources import list_images
from featx.engines.compute import LEAST_ROWS, LEAST_WORKERS, PixelBatches, compute_features, loads_in_processes
from featx.engines.engine import LazyEngine, Plan, make_plan
from featx.images.gpu_resize import DeviceResizer
from featx.images.normalise import to_input
from featx.images.transform import to_pixels
from featx.timing import Clock
from featx.types import Pixels
from tests.conftest import load_base

CPU = torch.device("cpu")
WANTED = {"layer1": ["avg"], "layer2": ["avg", "max"]}
Features = dict[tuple[int, int, str, str], NDArray[np.float32]]


def compute(plan: Plan, data: str, views: int = 1) -> Features:
    """Row, view, layer and pooling to feature."""
    listing = list_images(data)
    engine = LazyEngine("eager", plan, len(listing), Clock())
    features: Features = {}
    batches = compute_features(
        engine, listing, range(len(listing)), lambda digest, row: True, lambda digest: range(views)
    )
    for batch in batches:
        for (layer, pooling), columns in batch.features.items():
            for (place, view), feature in zip(batch.members, columns, strict=True):
                features[batch.loaded[place].row, view, layer, pooling] = feature
    return features


def make_tiny_plan() -> Plan:
    return make_plan(load_base("tiny", "random"), WANTED, CPU, 8, 2)


def test_features_are_what_the_network_computes(photos: Path) -> None:
    plan = make_tiny_plan()
    features = compute(plan, str(photos))
    paths = list_images(str(photos)).paths
    assert len(features) == 3 * len(paths)
    base = load_base("tiny", "random")
    for row in (0, 17, 35):
        with Image.open(paths[row]) as image:
            pixels = torch.from_numpy(np.array(to_pixels(image, base.id.transform)))[None]
        with torch.inference_mode():
            expected = base.forward(to_input(pixels, base.id.transform), WANTED)
        for (layer, pooling), feature in expected.items():
            assert np.allclose(features[row, 0, layer, pooling], feature[0].numpy(), rtol=1e-4, atol=1e-6)


def test_resizing_and_computing_in_batches_of_a_device_change_no_bit(photos: Path) -> None:
    plan = make_tiny_plan()
    resizer = DeviceResizer(plan.base.id.transform, CPU)
    on_device = replace(plan, device_batch=8, resizer=resizer)
    with Image.open(list_images(str(photos)).paths[0]) as picture:
        prepared = on_device.prepare(picture.convert("RGB"), b"digest", [0])
    assert prepared[0].shape == (picture.height, picture.width, 3), "the resizer takes pictures as they are"
    expected = compute(plan, str(photos), views=3)
    features = compute(on_device, str(photos), views=3)
    assert features.keys() == expected.keys()
    assert all(np.array_equal(features[key], expected[key]) for key in expected)


def test_what_is_not_selected_is_read_but_not_computed_and_builds_no_engine(photos: Path) -> None:
    listing = list_images(str(photos))
    engine = LazyEngine("eager", make_tiny_plan(), len(listing), Clock())
    batches = list(compute_features(engine, listing, [3, 4, 5], lambda digest, row: False, lambda digest: [0]))
    loaded = [image for batch in batches for image in batch.loaded]
    assert [image.row for image in loaded] == [3, 4, 5]
    assert all(image.digest and not image.views for image in loaded)
    assert engine.name == ""


@pytest.mark.parametrize("stops", [False, True])
def test_torch_has_its_threads_back_afterwards(photos: Path, stops: bool) -> None:
    before = torch.get_num_threads()
    listing = list_images(str(photos))
    engine = LazyEngine("eager", make_tiny_plan(), len(listing), Clock())
    for _ in compute_features(engine, listing, range(36), lambda digest, row: True, lambda digest: [0]):
        assert torch.get_num_threads() == 1
        if stops:
            break
    assert torch.get_num_threads() == before


def test_pixels_come_in_batches_without_broken_images(photos: Path) -> None:
    (photos / "blue" / "03.png").write_bytes(b"no picture")
    listing, transform = list_images(str(photos)), load_base("tiny", "random").id.transform
    batches = PixelBatches(listing, range(20), transform)
    pixels = list(batches)
    assert [len(batch) for batch in pixels] == [16, 3]
    assert pixels[0].shape[1:] == (32, 32, 3)
    assert batches.rows_given == [row for row in range(20) if row != 3]


@pytest.mark.skipif(not can_load_in_processes(), reason="this system has no files in memory")
@pytest.mark.parametrize("resizes", [False, True])
def test_processes_that_load_change_no_bit(photos: Path, resizes: bool) -> None:
    (photos / "blue" / "03.png").write_bytes(b"no picture")
    plan = make_tiny_plan()
    resizer = DeviceResizer(plan.base.id.transform, CPU) if resizes else None
    on_device = replace(plan, device_batch=8, resizer=resizer)
    expected = compute(on_device, str(photos), views=3)
    # Its threads decode nothing.
    elsewhere = PlanOfProcesses(**vars(replace(on_device, in_processes=True, raw_from_processes=resizes)))
    features = compute(elsewhere, str(photos), views=3)
    assert len(features) == 3 * 3 * 35
    assert features.keys() == expected.keys()
    assert all(np.array_equal(features[key], expected[key]) for key in expected)


class PlanOfProcesses(Plan):
    def prepare(self, picture: Image.Image, digest: bytes, views: Sequence[int]) -> dict[int, Pixels]:
        raise AssertionError("a thread prepares a picture")


def test_many_threads_and_rows_of_files_are_worth_processes(photos: Path) -> None:
    listing = list_images(str(photos))
    plan = replace(make_tiny_plan(), device_batch=8, workers=LEAST_WORKERS)
    is_linux = can_load_in_processes()
    assert loads_in_processes(plan, listing, LEAST_ROWS) == is_linux
    assert not loads_in_processes(plan, listing, LEAST_ROWS - 1)
    assert not loads_in_processes(replace(plan, workers=LEAST_WORKERS - 1), listing, LEAST_ROWS)
    assert not loads_in_processes(replace(plan, device_batch=None), listing, LEAST_ROWS), "cores that compute"
    assert not loads_in_processes(replace(plan, in_processes=False), listing, LEAST_ROWS)
    assert loads_in_processes(replace(plan, in_processes=True, workers=1), listing, 1) == is_linux
    in_memory = list_given_images([np.zeros((9, 9, 3), np.uint8)])
    assert not loads_in_processes(replace(plan, in_processes=True), in_memory, LEAST_ROWS)
    assert loads_in_processes(plan, list_given_images(listing.paths), LEAST_ROWS) == is_linux
    assert not loads_in_processes(plan, list_images("digits"), LEAST_ROWS)


@pytest.mark.gpu
@pytest.mark.parametrize("resizes", [False, True])
def test_processes_feed_a_gpu(photos: Path, resizes: bool) -> None:
    plan = make_plan(load_base("tiny", "random"), WANTED, torch.device("cuda"), 8, 2)
    expected = compute(replace(plan, in_processes=False), str(photos), views=3)
    elsewhere = PlanOfProcesses(**vars(replace(plan, in_processes=True, raw_from_processes=resizes)))
    features = compute(elsewhere, str(photos), views=3)
    assert features.keys() == expected.keys()
    for key, feature in features.items():
        assert np.allclose(feature, expected[key], rtol=1e-4, atol=1e-5)
