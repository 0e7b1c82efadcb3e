"""What is said of engines that run, fail, crash or are stuck."""

from __future__ import annotations

import json
import re

import pytest

from featx.diagnosis import engine_trial
from featx.diagnosis.devices import check_gpus, check_processor
from featx.diagnosis.engine_trial import IDENTITY, read_cuda_of_driver
from featx.diagnosis.engines import describe_end, read_trial, try_engines

GPUS = {"cuda": "13.0", "driver": "13.0", "gpus": [{"name": "H200", "bytes": 150e9}], "mps": False}


def write(*records: dict[str, object]) -> str:
    return "\n".join(map(json.dumps, records))


@pytest.mark.slow
def test_every_engine_that_is_installed_is_tried() -> None:
    trial = try_engines()
    assert [found.status for found in trial.findings] == ["ok"]
    assert "torch on cpu" in trial.findings[0].text
    assert trial.gpus["gpus"] is not None


def test_an_engine_that_raises_is_named_with_its_reason() -> None:
    lines = write({"begun": "torch"}, {"name": "torch", "error": "operator torchvision::nms does not exist"})
    (found,) = read_trial(lines, "").findings
    assert (found.status, found.text) == ("problem", "torch fails: operator torchvision::nms does not exist")
    assert "pip install --upgrade torch torchvision" in found.advice


def test_an_engine_that_crashes_or_is_stuck_is_the_one_that_was_begun() -> None:
    done = [{"begun": "eager"}, {"name": "eager", "seconds": 1.0}, {"begun": "openvino on cpu"}]
    crashed = read_trial(write(*done), describe_end(-11)).findings
    assert [found.text for found in crashed] == [
        "tried on one picture: eager (1.0 s)",
        "openvino on cpu crashed (signal 11)",
    ]
    stuck = read_trial("noise\n" + write(*done), "was stuck for 120 s").findings
    assert stuck[1].text == "openvino on cpu was stuck for 120 s"


def test_a_process_that_cannot_start_is_a_problem() -> None:
    (found,) = read_trial("", describe_end(1)).findings
    assert found.text == "the process that tries engines ended with exit code 1"


def test_gpus_are_named_with_what_they_are_good_for() -> None:
    (found,) = check_gpus(GPUS, has_driver=True)
    assert found.text.startswith("cuda:0: H200, 150 GB; torch for CUDA 13.0, driver for CUDA 13.0")
    (unseen,) = check_gpus({**GPUS, "gpus": []}, has_driver=True)
    assert unseen.status == "problem"
    (without,) = check_gpus({**GPUS, "gpus": []}, has_driver=False)
    assert without.status == "ok"


@pytest.mark.parametrize("library", ["libcuda-that-is-not-there.so.1", None])
def test_a_driver_that_cannot_be_asked_is_no_error(library: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is this process itself, which loads but knows no such function."""
    monkeypatch.setattr(engine_trial, "DRIVER_LIBRARY", library)
    assert read_cuda_of_driver() is None


@pytest.mark.gpu
def test_a_gpu_is_seen_and_tried() -> None:
    trial = try_engines()
    assert [found.status for found in trial.findings] == ["ok"]
    assert "torch on cuda" in trial.findings[0].text
    assert re.fullmatch(r"\d+\.\d", str(trial.gpus["driver"]))
    (found, *_) = check_gpus(trial.gpus)
    assert (found.status, found.text[:7]) == ("ok", "cuda:0:")


def test_a_processor_is_told_by_its_instructions() -> None:
    with_rounding = " ".join(found.text for found in check_processor({"avx2", "avx512f", "amx_bf16"}))
    assert "AVX-512" in with_rounding
    assert "amx_bf16: --precision bfloat16 is faster here" in with_rounding
    old = check_processor({"sse2"})
    assert "no AVX2" in old[1].text
    assert len(check_processor(None)) == 1


def test_the_graph_that_tries_onnx_runtime_is_one() -> None:
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(onnx.load_from_string(IDENTITY))
