"""Writes an exported graph in OpenVINO's own form: two files, a graph (.xml) and its numbers (.bin)."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from featx.engines.engine import is_openvino_installed
from featx.engines.translation import forbid_telemetry
from featx.errors import ModelError, RequestError, first_line
from featx.files import write_atomic
from featx.models.onnx.export import TOLERANCES, Exported
from featx.models.onnx.facts import METADATA_KEY, write_facts
from featx.models.onnx.model import INPUT_NAME, open_onnx_model

TRIED_SIDE = 4 / 3
"""Width of the picture that a graph which takes whole pictures is tried on, as a part of its crop."""


def check_openvino() -> None:
    """Refuse where OpenVINO is not installed.

    Raises
    ------
    RequestError
    """
    if not is_openvino_installed():
        raise RequestError("OpenVINO is not installed. Run: pip install 'featx[openvino]'")


def write_openvino(exported: Exported, out: Path, is_half: bool) -> tuple[int, float]:
    """Convert a graph, compare it with what ONNX Runtime computes, and write it.

    Parameters
    ----------
    exported : Exported
        In float32.
    out : pathlib.Path
        The `.xml`; the `.bin` has the same name.
    is_half : bool
        Whether weights are kept as float16.

    Returns
    -------
    int
        Bytes of both files.
    float
        How far its probabilities lie from ONNX Runtime's, at most, on a picture of noise.

    Raises
    ------
    ModelError
        If OpenVINO does not take the graph, or computes something else.
    OSError
        If the files cannot be written.
    """
    try:
        files, difference = convert(exported, is_half)
    except Exception as error:  # OpenVINO has one class for all of its reasons
        raise ModelError(f"OpenVINO does not take this graph: {first_line(error)[:300]}") from error
    if difference > TOLERANCES["float16" if is_half else "float32"]:
        raise ModelError(
            f"OpenVINO computes something else than ONNX Runtime: probabilities differ by up to {difference:.1g}. "
            "Nothing was written"
        )
    # The numbers first: a graph without them would not load.
    for suffix in (".bin", ".xml"):
        write_atomic(out.with_suffix(suffix), files[suffix])
    return sum(len(data) for data in files.values()), difference


def convert(exported: Exported, is_half: bool) -> tuple[dict[str, bytes], float]:
    """Convert a graph to the contents of its two files, and compare it."""
    forbid_telemetry()
    import openvino

    core = openvino.Core()
    model = core.read_model(exported.data)
    model.set_rt_info(write_facts(exported.facts), [METADATA_KEY])
    with TemporaryDirectory(prefix="featx-") as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=is_half)
        difference = try_converted(core, path, exported)
        return {suffix: path.with_suffix(suffix).read_bytes() for suffix in (".bin", ".xml")}, difference


def try_converted(core: Any, path: Path, exported: Exported) -> float:
    """Compare what was written with ONNX Runtime on a picture of noise: the greatest difference."""
    facts = exported.facts
    side = facts.transform.crop
    shape: tuple[int, ...] = (side, side, 3)
    if facts.input == "views":
        shape = (facts.views, *shape)
    elif facts.input == "picture":
        shape = (2 * side, round(2 * TRIED_SIDE * side), 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    network = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (found,) = network({INPUT_NAME: noise[None]}).values()
    return float(np.abs(found[0] - open_onnx_model(exported.data).compute(noise)).max())
