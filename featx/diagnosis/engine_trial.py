"""What a process of its own runs: every engine on one picture, so that a crash is a finding and not the end.

It writes a line of JSON before and after each engine.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

DRIVER_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
"""CUDA's driver API (cuDriverGetVersion): torch does not tell in public what it answers."""

DIFFERENCE = 1e-3
"""How far features of an engine may lie from eager torch's, relative to the largest."""


def main() -> None:
    """Try all engines, and write what came of each."""
    gpus = attempt("torch", describe_gpus)
    if gpus is None:
        return
    expected = attempt("eager", lambda: compute("eager", "cpu"))
    names = [("torch", "cpu")]
    if is_there("openvino"):
        names.append(("openvino", "cpu"))
    if gpus["gpus"]:
        names.append(("torch", "cuda"))
    if gpus["mps"]:
        names.append(("torch", "mps"))
    for engine, device in names:
        attempt(f"{engine} on {device}", partial(compare, engine, device, expected))
    if is_there("onnxruntime"):
        attempt("onnxruntime", run_onnx)


def is_there(package: str) -> bool:
    """Whether a package is installed."""
    return importlib.util.find_spec(package) is not None


def say(**record: Any) -> None:
    """Write a line of JSON, at once: what follows may crash."""
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def attempt(name: str, run: Callable[[], Any]) -> Any:
    """Try something: its result, or None where it raised; either is written."""
    say(begun=name)
    started = time.perf_counter()
    try:
        result = run()
    except Exception as error:  # whatever a broken installation raises is a finding
        lines = str(error).strip().splitlines() or [type(error).__name__]
        say(name=name, error=lines[0][:300])
        return None
    say(name=name, seconds=round(time.perf_counter() - started, 2), result=result if isinstance(result, dict) else None)
    return result


def describe_gpus() -> dict[str, Any]:
    """Say what torch and torchvision, which are imported here, see of GPUs."""
    import torch
    import torchvision  # noqa: F401 - it fails to import where it was built for another torch

    gpus = []
    driver = None
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            gpus.append({"name": properties.name, "bytes": properties.total_memory})
        driver = read_cuda_of_driver()
    return {"cuda": torch.version.cuda, "driver": driver, "gpus": gpus, "mps": torch.backends.mps.is_available()}


def read_cuda_of_driver() -> str | None:
    """Ask the driver of NVIDIA for the newest CUDA that it knows, such as "13.0"; None where it cannot be asked."""
    version = ctypes.c_int()
    try:
        driver = ctypes.CDLL(DRIVER_LIBRARY)
        failed = driver.cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return None if failed else f"{version.value // 1000}.{version.value % 1000 // 10}"


def compute(engine: str, device: str) -> Any:
    """Compute the features of one picture with the bundled base: (1, d) float32."""
    import numpy as np

    from featx.base_choice import BaseChoice
    from featx.bases.loading import open_base
    from featx.engines.device import choose_device
    from featx.engines.engine import choose_engine, make_plan

    base = open_base(BaseChoice("tiny"))
    wanted = {base.layer("layer4").name: ["avg"]}
    plan = make_plan(base, wanted, choose_device(device), 1, 1)
    _, made = choose_engine(engine, plan, 1)
    side = base.id.transform.crop
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    (features,) = made.start(picture)().values()
    return features


def compare(engine: str, device: str, expected: Any) -> None:
    """Compute the same with another engine.

    Raises
    ------
    ValueError
        If it computes something else.
    """
    import numpy as np

    features = compute(engine, device)
    if expected is not None and not np.allclose(features, expected, rtol=0, atol=DIFFERENCE * np.abs(expected).max()):
        raise ValueError("it computes other features than eager torch")


def run_onnx() -> None:
    """Run a graph of one operator.

    Raises
    ------
    ValueError
        If it computes something else.
    """
    import numpy as np

    from featx.models.onnx.model import open_session

    picture = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    (found,) = open_session(IDENTITY).run(None, {"pixels": picture})
    if not np.array_equal(found, picture):
        raise ValueError("it computes something else than it was given")


def field(number: int, value: bytes | int) -> bytes:
    """Write a field of a protocol buffer, of at most 127 bytes."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


TENSOR_OF_BYTES = field(1, field(1, 2) + field(2, 4 * field(1, b"")))
"""A type of ONNX: a tensor of uint8 of four axes."""

IDENTITY = (
    field(1, 8)
    + field(
        7,
        field(1, field(1, b"pixels") + field(2, b"same") + field(4, b"Identity"))
        + field(2, b"trial")
        + field(11, field(1, b"pixels") + field(2, TENSOR_OF_BYTES))
        + field(12, field(1, b"same") + field(2, TENSOR_OF_BYTES)),
    )
    + field(8, field(2, 18))
)
"""An ONNX graph that gives back what it takes, so that ONNX Runtime can be tried without the package `onnx`."""

if __name__ == "__main__":
    main()
