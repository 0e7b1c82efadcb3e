"""Every engine computes what eager torch computes, whatever the company of an image."""

from __future__ import annotations

import importlib.util
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from featx.engines.device import choose_device
from featx.engines.engine import ENGINES, LazyEngine, Plan, choose_engine, make_openvino
from featx.engines.threads import one_thread_each
from featx.engines.torch_engine import TorchEngine, fold, fused
from featx.errors import RequestError, UnknownName
from featx.timing import Clock
from tests.conftest import load_base

CPU = torch.device("cpu")
NEEDS = {"openvino": importlib.util.find_spec("openvino"), "compile": shutil.which("g++")}
INSTALLED = [name for name in ENGINES if NEEDS.get(name, True)]
WANTED = {"layer1": ["avg", "flat"], "layer3": ["max"]}


def pixels(n: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (n, side, side, 3), dtype=np.uint8)


def plan(batch_size: int | None = None, base: str = "tiny", precision: str = "float32") -> Plan:
    return Plan(load_base(base, "random", precision=precision), WANTED, CPU, batch_size, 2)


@pytest.mark.parametrize("name", INSTALLED)
def test_it_agrees_with_eager_torch(name: str) -> None:
    images = pixels(5)
    expected = TorchEngine(load_base("tiny", "random"), WANTED, CPU, 5)(images)
    found = ENGINES[name](plan()).start(images)()
    assert list(found) == list(expected)
    for key, features in found.items():
        assert features.dtype == np.float32
        assert np.abs(features - expected[key]).max() < 1e-4 * np.abs(expected[key]).max()


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_feature_does_not_depend_on_its_company(name: str, batch_size: int | None) -> None:
    engine, images = ENGINES[name](plan(batch_size)), pixels(11)
    together = engine.start(images)()
    alone = [engine.start(images[i : i + 1])() for i in range(11)]
    for key, features in together.items():
        assert np.array_equal(features, np.concatenate([one[key] for one in alone]))


def test_batch_norm_is_folded_away_and_other_modules_stay() -> None:
    base = load_base("mobilenet_v2", "random")
    folded = fused(base)
    assert any(isinstance(m, torch.nn.BatchNorm2d) for stage in base.stages for m in stage.module.modules())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for stage in folded.stages for m in stage.module.modules())
    relu = torch.nn.ReLU()
    assert fold(relu) is relu


def test_bfloat16_is_not_folded() -> None:
    base = load_base("tiny", "random", precision="bfloat16")
    assert fused(base) is base


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
def test_what_openvino_cannot_run_is_said_and_auto_runs_it_with_torch() -> None:
    rough = plan(precision="bfloat16")
    with pytest.raises(RequestError, match="runs float32 on the CPU, not bfloat16.*--engine torch"):
        choose_engine("openvino", rough, 1)
    assert choose_engine("auto", rough, 10**6)[0] == "torch"


@pytest.mark.skipif("openvino" not in INSTALLED, reason="the extra 'openvino' is not installed")
def test_threads_of_openvino_give_the_same_features_with_networks_of_their_own_and_with_one_that_they_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = pixels(24)
    own = make_openvino(plan())
    monkeypatch.setattr("featx.engines.openvino_engine.OWN_BYTES", 0)
    shared = make_openvino(plan())
    assert (bool(own.exported), bool(shared.exported)) == (True, False)
    with ThreadPoolExecutor(8) as pool:
        found = [
            list(pool.map(lambda i, engine=engine: engine.start(images[i : i + 3])(), range(22)))
            for engine in (own, shared)
        ]
    expected = [own.start(images[i : i + 3])() for i in range(22)]
    for one, other, true in zip(*found, expected, strict=True):
        for key, features in true.items():
            assert np.array_equal(one[key], features)
            assert np.array_equal(other[key], features)


@pytest.mark.skipif("openvino" in INSTALLED, reason="the extra 'openvino' is installed")
def test_an_engine_that_is_not_installed_comes_with_the_command_that_installs_it() -> None:
    with pytest.raises(RequestError, match="pip install"):
        choose_engine("openvino", plan(), 1)


def test_a_lazy_engine_is_made_once_and_by_the_first_image() -> None:
    told: dict[str, object] = {}
    clock = Clock()
    engine = LazyEngine("eager", plan(), 10, clock, told)
    assert engine.engine is None
    engine.start(pixels(1))()
    first = engine.engine
    engine.start(pixels(1))()
    assert engine.engine is first
    assert told == {"engine": "eager"}
    assert set(clock.seconds) == {"engine", "forward"}


def test_too_little_memory_halves_the_batch(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    engine, images = TorchEngine(load_base("tiny", "random"), WANTED, CPU, 8), pixels(8)
    expected = engine(images)
    forward = type(engine.base).forward

    def small(base: object, x: torch.Tensor, wanted: dict) -> dict:
        if len(x) > 2:
            raise torch.OutOfMemoryError
        return forward(base, x, wanted)  # type: ignore[arg-type]

    monkeypatch.setattr("featx.bases.base.Base.forward", small)
    with caplog.at_level("WARNING"):
        found = engine(images)
    assert "trying 4" in caplog.text
    assert "trying 2" in caplog.text
    for key, features in found.items():
        np.testing.assert_allclose(features, expected[key], rtol=1e-4, atol=1e-5)


def test_threads_of_torch_are_put_back() -> None:
    before = torch.get_num_threads()
    with one_thread_each(CPU):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_devices_that_are_not_there_are_refused() -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(RequestError, match="is not on this machine"):
        choose_device("cuda:99")
    with pytest.raises(UnknownName, match="device"):
        choose_device("gpu")
