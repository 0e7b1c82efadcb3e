"""Every engine computes what eager torch computes, whatever the company of an image."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from featx.bases.base import Base, Stage
from featx.engines.device import choose_device, parse_devices
from featx.engines.engine import ENGINES, LazyEngine, Plan, choose_engine, make_plan
from featx.engines.openvino_engine import COPY_BYTES, OpenVinoEngine
from featx.engines.threads import one_torch_thread
from featx.engines.torch_engine import TorchEngine, fuse_batchnorm, fuse_module
from featx.errors import RequestError, UnknownName
from featx.images.decode import DECODING_BUDGET
from featx.timing import Clock
from tests.conftest import load_base

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
NEEDS = {"openvino": importlib.util.find_spec("openvino"), "compile": shutil.which("g++")}
INSTALLED = [name for name in ENGINES if NEEDS.get(name, True)]
WANTED = {"layer1": ["avg", "flat"], "layer3": ["max"]}


def pixels(n: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (n, side, side, 3), dtype=np.uint8)


def plan(batch_size: int | None = None, base: str = "tiny", precision: str = "float32") -> Plan:
    return make_plan(load_base(base, "random", precision=precision), WANTED, CPU, batch_size, 2)


@pytest.mark.parametrize("name", INSTALLED)
def test_it_agrees_with_eager_torch(name: str) -> None:
    images = pixels(5)
    expected = TorchEngine(load_base("tiny", "random"), WANTED, CPU, 5)(images)
    computed = ENGINES[name](plan()).start(images)()
    assert list(computed) == list(expected)
    for key, features in computed.items():
        assert features.dtype == np.float32
        assert np.abs(features - expected[key]).max() < 1e-4 * np.abs(expected[key]).max()


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_feature_does_not_depend_on_its_company(name: str, batch_size: int | None) -> None:
    engine, images = ENGINES[name](plan(batch_size)), pixels(11)
    together = engine.start(images)()
    alone = [engine.start(images[i : i + 1])() for i in range(11)]
    for key, features in together.items():
        assert np.array_equal(features, np.concatenate([single[key] for single in alone]))


def test_batch_norm_is_folded_away_and_other_modules_stay() -> None:
    base = load_base("mobilenet_v2", "random")
    folded = fuse_batchnorm(base)
    assert any(isinstance(m, torch.nn.BatchNorm2d) for stage in base.stages for m in stage.module.modules())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for stage in folded.stages for m in stage.module.modules())
    relu = torch.nn.ReLU()
    assert fuse_module(relu) is relu


def test_bfloat16_is_not_folded() -> None:
    base = load_base("tiny", "random", precision="bfloat16")
    assert fuse_batchnorm(base) is base


def test_an_engine_that_is_none_comes_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'openvino'"):
        choose_engine("openvin", plan(), 1)


def test_a_compiler_that_gives_up_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(*_: object, **__: object) -> None:
        raise RuntimeError("no C++ compiler was found\nTraceback ...")

    monkeypatch.setattr("torch.compile", give_up)
    with pytest.raises(
        RequestError, match=r"^engine 'compile' cannot run this: no C\+\+ compiler was found. Use --eng"
    ):
        choose_engine("compile", plan(), 1)


@pytest.mark.skipif("openvino" not in INSTALLED, reason="the extra 'openvino' is not installed")
def test_openvino_reports_nothing_to_its_makers() -> None:
    script = """
import sys
from featx.engines.openvino_engine import OpenVinoEngine
from tests.engines.test_engine import ENGINES, plan
assert isinstance(ENGINES["openvino"](plan()), OpenVinoEngine)
assert sys.modules["openvino_telemetry"] is None
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif("openvino" not in INSTALLED, reason="the extra 'openvino' is not installed")
@pytest.mark.parametrize(("copy_bytes", "has_copies"), [(COPY_BYTES, True), (0, False)])
def test_threads_of_openvino_give_the_same_features_with_copies_of_the_network_and_with_one_that_they_share(
    copy_bytes: int, has_copies: bool
) -> None:
    images = pixels(24)
    engine = OpenVinoEngine(plan().base, WANTED, CPU, 1, 2, copy_bytes)
    assert bool(engine.exported) == has_copies
    expected = [engine.start(images[i : i + 3])() for i in range(22)]
    with ThreadPoolExecutor(8) as pool:
        computed = list(pool.map(lambda i: engine.start(images[i : i + 3])(), range(22)))
    for features, reference in zip(computed, expected, strict=True):
        for key in reference:
            assert np.array_equal(features[key], reference[key])


@pytest.mark.skipif("openvino" in INSTALLED, reason="the extra 'openvino' is installed")
def test_an_engine_that_is_not_installed_comes_with_the_command_that_installs_it() -> None:
    with pytest.raises(RequestError, match="pip install"):
        choose_engine("openvino", plan(), 1)


def test_threads_that_decode_and_compute_share_one_memory() -> None:
    engine = LazyEngine("eager", plan(), 10, Clock())
    engine.build()
    images = list(pixels(2))
    with ThreadPoolExecutor(1) as pool:
        with DECODING_BUDGET.hold(DECODING_BUDGET.total):
            started = pool.submit(engine.start, images)
            while not DECODING_BUDGET.waiting:
                assert not started.done(), "it computes beside the largest picture"
                time.sleep(0.001)
        assert started.result(60)()
    assert DECODING_BUDGET.held == 0


def test_a_lazy_engine_is_made_once_and_by_the_first_image() -> None:
    clock = Clock()
    engine = LazyEngine("eager", plan(), 10, clock)
    assert engine.name == ""
    engine.start(pixels(1))()
    assert engine.name == "eager"
    first = engine.build()
    engine.start(pixels(1))()
    assert engine.build() is first
    assert set(clock.seconds) == {"engine", "forward"}


class SmallMemory(nn.Module):
    """A stage that runs out of memory with more than a few images at once."""

    def __init__(self, stage: nn.Module, most: int) -> None:
        super().__init__()
        self.stage = stage
        self.most = most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError
        return self.stage(x)


def with_little_memory(base: Base, most: int) -> Base:
    first, *others = base.stages
    return replace(base, stages=(Stage(first.name, SmallMemory(first.module, most)), *others))


def test_too_little_memory_halves_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    base, images = load_base("tiny", "random"), pixels(8)
    expected = TorchEngine(base, WANTED, CPU, 8)(images)
    engine = TorchEngine(with_little_memory(base, 2), WANTED, CPU, 8)
    with caplog.at_level("WARNING"):
        computed = engine(images)
    assert "trying 4" in caplog.text
    assert "trying 2" in caplog.text
    for key, features in computed.items():
        np.testing.assert_allclose(features, expected[key], rtol=1e-4, atol=1e-5)


def test_halves_of_a_batch_are_read_only_once_their_copies_have_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    base, images = load_base("tiny", "random"), pixels(11)
    expected = TorchEngine(base, WANTED, CPU, 8)(images)
    engine = TorchEngine(with_little_memory(base, 2), WANTED, CPU, 8)
    on_their_way = []

    def copy_later(output: torch.Tensor) -> torch.Tensor:
        """As a GPU copies to pinned memory: what is there before it has been waited for is anything."""
        hosted = torch.full_like(output, torch.nan)
        on_their_way.append((hosted, output.clone()))
        return hosted

    monkeypatch.setattr(engine, "to_host", copy_later)
    wait = engine.start(images)
    with torch.inference_mode():
        for hosted, output in on_their_way:
            hosted.copy_(output)
    computed = wait()
    for key, features in computed.items():
        assert features.shape == expected[key].shape
        np.testing.assert_allclose(features, expected[key], rtol=1e-4, atol=1e-5)


def test_one_image_that_is_too_large_for_the_memory_is_one_clear_line() -> None:
    engine = TorchEngine(with_little_memory(load_base("tiny", "random"), 0), WANTED, CPU, 2)
    with pytest.raises(RequestError, match="one image alone is more than the memory of cpu"):
        engine(pixels(2))


def test_threads_of_torch_are_put_back() -> None:
    before = torch.get_num_threads()
    with one_torch_thread(CPU):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_devices_that_are_not_there_are_refused() -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(RequestError, match="is not on this machine"):
        choose_device("cuda:99")
    with pytest.raises(UnknownName, match="unknown device 'gpu'"):
        choose_device("gpu")


def test_several_devices_are_named_with_commas() -> None:
    assert parse_devices("auto") == ["auto"]
    assert parse_devices("cpu, cpu") == ["cpu", "cpu"]
    with pytest.raises(RequestError, match="device 'cuda:7' is not on this machine"):
        parse_devices("cpu, cuda:7")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_all_devices_are_every_gpu() -> None:
    with pytest.raises(RequestError, match="means every GPU, and this machine has none"):
        parse_devices("all")


@pytest.mark.parametrize(("device", "resizes"), [("cpu", False), ("mps", False), ("cuda", True)])
def test_only_a_gpu_with_float64_resizes(device: str, resizes: bool) -> None:
    made = make_plan(load_base("tiny", "random"), {}, torch.device(device), None, 1)
    assert (made.resizer is not None) == resizes
    assert (made.device_batch is None) == (device == "cpu")


def photo_plan(device: torch.device, precision: str = "float32", batch_size: int = 8) -> Plan:
    base = load_base("resnet18", "random", precision=precision, resize=64, crop=64)
    return make_plan(base, {"layer2": ["avg"], "layer4": ["avg"]}, device, batch_size, 2)


def largest_difference(features: np.ndarray, expected: np.ndarray) -> float:
    """Of the largest feature."""
    return float(np.abs(features - expected).max() / np.abs(expected).max())


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("name", "precision", "most"),
    [
        ("eager", "float32", 1e-3),
        ("torch", "float32", 1e-3),
        ("compile", "float32", 1e-3),
        ("torch", "bfloat16", 3e-2),
        ("compile", "bfloat16", 3e-2),
    ],
)
def test_a_gpu_computes_what_the_cpu_computes(name: str, precision: str, most: float) -> None:
    images = pixels(19, 64)
    expected = ENGINES["eager"](photo_plan(CPU)).start(images)()
    engine = ENGINES[name](photo_plan(torch.device("cuda"), precision))
    # Twice, and both begun before the first is waited for: memory that is used again must not be read too early.
    begun = [engine.start(images), engine.start(images[::-1].copy())]
    computed, turned = (wait() for wait in begun)
    assert not torch.backends.cudnn.allow_tf32
    for key, features in computed.items():
        assert largest_difference(features, expected[key]) < most
        assert largest_difference(turned[key][::-1], expected[key]) < most


@pytest.mark.gpu
def test_a_gpu_that_is_full_computes_in_halves(caplog: pytest.LogCaptureFixture) -> None:
    # A limit is set for a device by its number only.
    device = torch.device("cuda", torch.cuda.current_device())
    images = pixels(256, 64)
    engine = ENGINES["torch"](photo_plan(device, batch_size=256))
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.memory_allocated(device)
    expected = engine.start(images)()
    needed = torch.cuda.max_memory_allocated(device) - held
    torch.cuda.empty_cache()
    # A quarter, since cuDNN has ways that need less memory; what earlier tests hold stays held.
    most = torch.cuda.memory_reserved(device) + needed / 4
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(most / total, device)
    try:
        with caplog.at_level("WARNING"):
            computed = engine.start(images)()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    assert "is out of memory with 256 images at once: trying 128" in caplog.text
    for key, features in computed.items():
        assert largest_difference(features, expected[key]) < 1e-3
