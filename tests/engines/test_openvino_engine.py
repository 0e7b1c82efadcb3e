"""Every base runs in OpenVINO as in eager torch, in each layer and pooling; what cannot is told in one line."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from featx.bases.architectures.tiny import tiny
from featx.bases.base import Base, Stage
from featx.bases.names import HANDCRAFTED_BASES
from featx.bases.pooling import POOLINGS, pooled_shape
from featx.engines.engine import WORTH_COMPILING, Plan, choose_engine, is_worth_compiling, make_openvino, make_plan
from featx.engines.openvino_engine import OpenVinoEngine, Unsupported, processor_has_bfloat16
from featx.engines.threads import one_torch_thread
from featx.engines.torch_engine import TorchEngine
from featx.errors import RequestError, UnsupportedLayout
from featx.log import NOTE
from featx.types import LayerFeatures
from tests.conftest import load_base

pytest.importorskip("openvino")

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")

FAMILIES = [
    *("tiny", "resnet18", "mobilenet_v3_small", "mobilenet_v2", "squeezenet1_1", "googlenet", "shufflenet_v2_x0_5"),
    *("mnasnet0_5", "regnet_y_400mf", "swin_t"),
]
"""A small network of each family of torchvision that is translated within two seconds."""

LARGE_FAMILIES = ["densenet121", "convnext_tiny", "inception_v3", "maxvit_t", "vit_b_32", "swin_v2_t", "vgg11"]
"""Of each of the others; they are run where FEATX_STRESS is set."""

TIMM = ["resnet18", "tf_efficientnet_lite0", "convnext_atto"]

NETWORK = """
from torch import nn

transform = {"resize": 40, "crop": 32}

class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(8, 16, 3, 2, 1)

    def forward(self, x):
        y = self.body(x)
        if x.device.type != "meta":
            READS
        return y if y.shape[2] % 2 else 2 * y

def stages():
    return [
        ("body.0", nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))),
        ("body.1", Gate()),
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
    ]
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As where engines are used: threads of torch beside those of other tests wait for one another."""
    with one_torch_thread(CPU):
        yield


def write_network(folder: Path, reads: str = "pass") -> str:
    file = folder / "my_net.py"
    file.write_text(NETWORK.replace("READS", reads))
    return str(file)


def everything(base: Base) -> dict[str, list[str]]:
    """All layers of a base, each in every pooling that it has."""
    wanted: dict[str, list[str]] = {}
    for layer in base.layers:
        wanted[layer.name] = []
        for pooling in POOLINGS:
            try:
                pooled_shape(pooling, layer.shape, layer.layout)
            except UnsupportedLayout:
                continue
            wanted[layer.name].append(pooling)
    return wanted


def make_images(base: Base, count: int = 2) -> np.ndarray:
    side = base.id.transform.crop
    return np.random.default_rng(1).integers(0, 255, (count, side, side, 3), dtype=np.uint8)


def compute_eagerly(base: Base, wanted: dict[str, list[str]], images: np.ndarray) -> LayerFeatures:
    return TorchEngine(base, wanted, CPU, 1)(images)


def assert_it_runs_in_openvino(base: Base) -> None:
    """A data set of usual size ends in OpenVINO, with the features of eager torch in float32."""
    wanted = everything(base)
    images = make_images(base)
    name, engine = choose_engine("auto", make_plan(base, wanted, CPU, None, 2), WORTH_COMPILING)
    assert name == "openvino"
    assert isinstance(engine, OpenVinoEngine)
    computed = engine.start(images)()
    expected = compute_eagerly(base, wanted, images)
    assert list(computed) == list(expected)
    for key, features in computed.items():
        assert np.abs(features - expected[key]).max() <= 1e-4 * np.abs(expected[key]).max(), key


@pytest.mark.parametrize("name", FAMILIES)
def test_networks_of_torchvision_run_in_openvino_at_every_layer_and_pooling(name: str) -> None:
    size = {} if name == "tiny" else {"resize": 64, "crop": 64}
    assert_it_runs_in_openvino(load_base(name, "random", **size))


@pytest.mark.stress
@pytest.mark.skipif("FEATX_STRESS" not in os.environ, reason="takes a minute: set FEATX_STRESS")
@pytest.mark.parametrize("name", LARGE_FAMILIES)
def test_large_networks_of_torchvision_run_in_openvino_at_every_layer_and_pooling(name: str) -> None:
    assert_it_runs_in_openvino(load_base(name, "random"))


@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm_run_in_openvino_at_every_layer_and_pooling(name: str) -> None:
    pytest.importorskip("timm")
    assert_it_runs_in_openvino(load_base(f"timm:{name}", "random", resize=64, crop=64))


def test_a_vision_transformer_of_timm_runs_in_openvino() -> None:
    pytest.importorskip("timm")
    assert_it_runs_in_openvino(load_base("timm:vit_tiny_patch16_224", "random"))


def test_a_python_file_runs_in_openvino_though_it_branches_on_sizes(tmp_path: Path) -> None:
    assert_it_runs_in_openvino(load_base(write_network(tmp_path)))


def test_weights_of_ones_own_run_in_openvino(tmp_path: Path) -> None:
    torch.manual_seed(3)
    body = {name: tensor for name, tensor in tiny().state_dict().items() if not name.startswith("fc.")}
    save_file(body, tmp_path / "own.safetensors")
    assert_it_runs_in_openvino(load_base("tiny", str(tmp_path / "own.safetensors")))


def test_hand_crafted_features_are_not_translated_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    for name in HANDCRAFTED_BASES:
        base = Base(replace(load_base("tiny", "random").id, architecture=name), "none", (), ())
        plan = make_plan(base, {}, CPU, None, 2)
        assert not is_worth_compiling(plan, 10**6)
        rounded = replace(base, id=replace(base.id, precision="bfloat16"))
        assert choose_engine("auto", replace(plan, base=rounded), 10**6)[0] == "torch"
    assert not caplog.records


READS = {
    "a branch": "y = y if x.mean() > 0.4 else -y",
    "a number": "y = y * x.mean().item()",
    "an array": "y = y + float(x.numpy().mean())",
    "a list": "y = y * x[0, 0, 0].tolist()[0]",
    "a mask": "y = y * len(x[x > 0.5])",
    "a size": "y = y + x[:, :1, : x[0, 0, 0].argmax() + 1].mean()",
}


@pytest.mark.parametrize("way", READS)
def test_a_network_that_reads_its_numbers_runs_in_torch_and_one_line_says_why(
    way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = load_base(write_network(tmp_path, READS[way]), crop=31)
    # One image a pass: such a network may read across the images of a batch.
    plan = make_plan(base, everything(base), CPU, 1, 2)
    with caplog.at_level(logging.INFO, "featx"):
        name, engine = choose_engine("auto", plan, WORTH_COMPILING)
    assert name == "torch"
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            NOTE,
            "engine 'openvino' cannot run this: it reads numbers back into Python while it runs, which no translation "
            "follows. Torch runs it instead, which is slower",
        )
    ]
    images = make_images(base)
    expected = compute_eagerly(base, everything(base), images)
    for key, features in engine.start(images)().items():
        np.testing.assert_allclose(features, expected[key], rtol=1e-3, atol=1e-4)


class Stretched(nn.Module):
    """A stage that gives something else while it is traced: a translation that went wrong."""

    def __init__(self, stage: nn.Module, factor: float) -> None:
        super().__init__()
        self.stage = stage
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        y = self.stage(x)
        return self.factor * y if torch.jit.is_tracing() else y


class Cancelled(nn.Module):
    """A stage whose output is a small difference of large numbers."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        self.stage = stage
        self.up = nn.Conv2d(32, 32, 1)
        self.down = nn.Conv2d(32, 32, 1)
        for convolution, bias in ((self.up, 1500.0), (self.down, -1500.0)):
            nn.init.dirac_(convolution.weight)
            nn.init.constant_(convolution.bias, bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.down(torch.relu(self.up(self.stage(x))))


def wrap_first(base: Base, wrap: Callable[[nn.Module], nn.Module]) -> Base:
    """The base with its first stage in another module."""
    first, *others = base.stages
    wrapped = wrap(first.module).requires_grad_(False)
    return replace(base, stages=(Stage(first.name, wrapped), *others))


def open_tiny(precision: str, wrap: Callable[[nn.Module], nn.Module] = lambda stage: stage) -> Base:
    return wrap_first(load_base("tiny", precision=precision), wrap)


def plan_of(base: Base, **changes: Any) -> Plan:
    return replace(make_plan(base, {"stem": ["avg", "flat"], "layer3": ["avg", "flat"]}, CPU, None, 2), **changes)


has_bfloat16 = pytest.mark.skipif(not processor_has_bfloat16(), reason="the processor lacks bfloat16")


def test_the_check_finds_a_translation_that_differs_by_a_thousandth() -> None:
    base = open_tiny("float32", lambda stage: Stretched(stage, 1.001))
    with pytest.raises(RequestError, match=r"its features of layer 'stem' differ from torch's by more than 0.0001"):
        make_openvino(plan_of(base))


@has_bfloat16
def test_the_check_in_bfloat16_finds_a_translation_that_differs_by_less_than_rounding() -> None:
    base = open_tiny("bfloat16", lambda stage: Stretched(stage, 1.001))
    with pytest.raises(RequestError, match=r"'stem' differ from torch's by more than 0.0001. Use --precision float32"):
        make_openvino(plan_of(base))


@has_bfloat16
def test_the_check_in_bfloat16_finds_a_network_that_loses_its_features_to_rounding() -> None:
    assert make_openvino(plan_of(open_tiny("float32", Cancelled)))
    with pytest.raises(RequestError, match=r"bfloat16 moves its features of layer 'stem' by more than 25%. Use --prec"):
        make_openvino(plan_of(open_tiny("bfloat16", Cancelled)))


@has_bfloat16
def test_bfloat16_runs_in_openvino_from_the_first_image_on_and_rounds() -> None:
    plan = plan_of(open_tiny("bfloat16"))
    name, engine = choose_engine("auto", plan, 1)
    assert name == "openvino"
    images = make_images(plan.base, 9)
    expected = compute_eagerly(open_tiny("float32"), {"stem": ["avg", "flat"], "layer3": ["avg", "flat"]}, images)
    for key, features in engine.start(images)().items():
        assert features.dtype == np.float32
        difference = np.linalg.norm(features - expected[key]) / np.linalg.norm(expected[key])
        assert 1e-4 < difference < 1e-2


@has_bfloat16
def test_threads_in_bfloat16_give_the_same_features() -> None:
    plan = plan_of(open_tiny("bfloat16"))
    images = make_images(plan.base, 4)
    copied = OpenVinoEngine(plan.base, plan.wanted, CPU, 1, 2)
    shared = OpenVinoEngine(plan.base, plan.wanted, CPU, 1, 2, copy_bytes=0)
    assert copied.exported
    del copied.of_thread.request
    expected = shared.start(images)()
    for key, features in copied.start(images)().items():
        assert np.array_equal(features, expected[key])


def test_a_processor_without_bfloat16_is_told_what_to_do() -> None:
    with pytest.raises(
        RequestError,
        match=r"^this processor lacks bfloat16 arithmetic \(avx512_bf16 or amx_bf16\), so it gains nothing. "
        r"Use --precision float32, or --engine torch, which is slower in bfloat16$",
    ):
        make_openvino(plan_of(open_tiny("bfloat16")), has_bfloat16=lambda: False)


def test_the_processor_is_not_asked_where_nothing_is_rounded() -> None:
    def ask() -> bool:
        raise AssertionError

    assert make_openvino(plan_of(open_tiny("float32")), has_bfloat16=ask)


def test_bfloat16_that_openvino_cannot_compute_is_refused_unless_a_model_is_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = load_base(write_network(tmp_path, READS["a branch"]), precision="bfloat16")
    plan = make_plan(base, everything(base), CPU, None, 2)
    with pytest.raises(RequestError, match="Use --precision float32, or --engine torch"):
        choose_engine("auto", plan, 10**6)
    with caplog.at_level(logging.INFO, "featx"):
        assert choose_engine("auto", plan, 1, takes_any=True)[0] == "torch"
    assert [record.getMessage().split(". ")[-1] for record in caplog.records] == [
        "Torch runs it instead, which is slower"
    ]


def test_a_device_that_is_not_the_cpu_is_refused() -> None:
    base = open_tiny("float32")
    with pytest.raises(Unsupported, match="it runs on the CPU, not on cuda"):
        OpenVinoEngine(base, {"stem": ["avg"]}, torch.device("cuda"), 1, 2)
