"""An ONNX file of ours, opened with ONNX Runtime: pictures in, probabilities out. Nothing here needs torch."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import ModelError, RequestError, first_line
from featx.files import read_regular_file
from featx.keys import InputTransform
from featx.models.onnx.facts import INPUT_AXES, METADATA_KEY, OnnxFacts, read_facts
from featx.models.onnx.wire import inspect_onnx
from featx.types import Pixels

ONNX_SUFFIX = ".onnx"

INPUT_NAME = "pixels"
OUTPUT_NAME = "probabilities"

MOST_ONNX_BYTES = 2**31 - 1
"""Larger files are neither written nor read: messages of protocol buffers end there."""

SILENT = 4
"""Level of ONNX Runtime's log from which on nothing is written: what is wrong comes as an exception, too."""


@dataclass(frozen=True)
class OnnxModel:
    """A model that ONNX Runtime runs.

    Attributes
    ----------
    facts : OnnxFacts
    session : onnxruntime.InferenceSession
        Of one thread: several may call it side by side.
    """

    facts: OnnxFacts
    session: Any = field(repr=False)

    @property
    def known(self) -> None:
        """What tells strangers: an ONNX file does not hold it."""
        return

    @property
    def sets(self) -> None:
        """What gives sets of classes: an ONNX file does not hold it."""
        return

    @property
    def classes_(self) -> tuple[str, ...]:
        """Labels in the order of the probabilities."""
        return self.facts.classes

    @property
    def transform(self) -> InputTransform:
        """How a picture becomes pixels."""
        return self.facts.input_transform

    def compute(self, pixels: Pixels) -> NDArray[np.float32]:
        """Label one picture; alone, so that what is computed beside it cannot change a digit.

        Parameters
        ----------
        pixels : (crop, crop, 3), (v, crop, crop, 3) or (height, width, 3) uint8
            By `facts.input`.

        Returns
        -------
        (k,) float32
            The probability of each class.

        Raises
        ------
        ModelError
            If the graph fails, or gives what are no probabilities.
        """
        try:
            (batch,) = self.session.run([OUTPUT_NAME], {INPUT_NAME: np.ascontiguousarray(pixels)[None]})
        except Exception as error:  # ONNX Runtime has a class of its own for each of its reasons
            raise ModelError(f"the model cannot be run: {first_line(error)[:300]}") from error
        if batch.shape != (1, len(self.classes_)) or not np.isfinite(batch).all():
            raise ModelError(
                "the model gives probabilities that are not finite numbers, or not one for each of its "
                f"{len(self.classes_)} classes. Export it anew"
            )
        return batch[0]


def is_onnx_file(model: object) -> bool:
    """Whether a model is named as an ONNX file, by its suffix."""
    return isinstance(model, str | Path) and Path(model).suffix.lower() == ONNX_SUFFIX


def load_onnx_model(path: str | Path) -> OnnxModel:
    """Read an ONNX file that `featx export` wrote; nothing in it is believed unchecked, and no other file is opened.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    OnnxModel

    Raises
    ------
    ModelError
        If it is missing, damaged, too large, not one of ours, or holds what `inspect_onnx` refuses.
    RequestError
        If ONNX Runtime is not installed.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise RequestError("ONNX models need ONNX Runtime, which is not installed. Run: pip install 'featx[onnx]'")
    try:
        return open_onnx_model(read_regular_file(path, MOST_ONNX_BYTES, "an ONNX model"))
    except OSError as error:
        reason = error.strerror or str(error)
    except ModelError as error:
        reason = str(error)
    raise ModelError(f"model '{path}' cannot be read: {reason}. Write one with: featx export MODEL --out FILE.onnx")


def open_onnx_model(data: bytes) -> OnnxModel:
    """Check the bytes of an ONNX file, and hand the same bytes to ONNX Runtime.

    Raises
    ------
    ModelError
    """
    metadata = inspect_onnx(data).metadata.get(METADATA_KEY.encode())
    facts = read_facts(None if metadata is None else metadata.decode(errors="replace"))
    session = open_session(data)
    check_signature(session, facts)
    return OnnxModel(facts, session)


def open_session(data: bytes) -> Any:
    """Let ONNX Runtime load a graph, on the CPU, in one thread.

    Raises
    ------
    ModelError
        If it cannot.
    """
    import onnxruntime

    # Only Windows has any; nothing is reported without being asked for.
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    # The threads that decode call it side by side, as they do OpenVINO.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class of its own for each of its reasons
        raise ModelError(f"ONNX Runtime cannot load it ({first_line(error)[:300]})") from error


def check_signature(session: Any, facts: OnnxFacts) -> None:
    """Compare what a graph takes and gives with what the metadata says.

    Raises
    ------
    ModelError
    """
    taken = [(entry.name, entry.type, len(entry.shape)) for entry in session.get_inputs()]
    given = [(entry.name, entry.type, len(entry.shape)) for entry in session.get_outputs()]
    expected = (INPUT_NAME, "tensor(uint8)", INPUT_AXES[facts.input])
    if taken != [expected] or given != [(OUTPUT_NAME, "tensor(float)", 2)]:
        raise ModelError("its graph does not take and give what its metadata says")
