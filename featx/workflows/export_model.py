"""Write a model as one graph that runs without featx."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from featx.errors import StoreError
from featx.files import write_atomic
from featx.models.base_of_model import load_model_base, open_model
from featx.models.model import Model
from featx.models.onnx.export import Exported, check_needed, export_onnx
from featx.models.onnx.facts import OnnxFacts, list_facts
from featx.models.onnx.openvino_ir import check_openvino, write_openvino
from featx.models.onnx.resize_difference import ResizeDifference, measure_resize
from featx.models.onnx.whole_pictures import OPSET
from featx.requests import ModelExportRequest


@dataclass(frozen=True)
class ExportedModel:
    """What was written.

    Attributes
    ----------
    path : str
    bytes : int
        Of all files.
    opset : int
        Version of ONNX's operators.
    difference : float
        How far probabilities lie from those that torch computes in float32, at most, on pictures of noise.
    facts : OnnxFacts
        What stands in the file's metadata.
    resize : ResizeDifference or None
        How resizing within the graph differs from Pillow's, where the graph resizes.
    notes : list of str
        What has to be known of it.
    """

    path: str
    bytes: int
    opset: int
    difference: float
    facts: OnnxFacts
    resize: ResizeDifference | None = None
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            "path": self.path,
            "bytes": self.bytes,
            "opset": self.opset,
            "difference": self.difference,
            "resize": self.resize.to_dict() if self.resize else None,
            "notes": self.notes,
            **list_facts(self.facts),
        }


def export_model(request: ModelExportRequest) -> ExportedModel:
    """Write base and classifier of a model as an ONNX graph, or as one for OpenVINO.

    Parameters
    ----------
    request : ModelExportRequest

    Returns
    -------
    ExportedModel

    Raises
    ------
    RequestError
        If a package is missing, or the model is one that no graph can hold.
    ModelError
        If the model cannot be read, the exporter fails, or its graph computes something else.
    WeightsError
        If the weights cannot be had, or are not the model's.
    StoreError
        If the file cannot be written.
    """
    is_openvino = request.to == "openvino"
    check_needed()
    if is_openvino:
        check_openvino()
    model = open_model(request)
    base = load_model_base(request, model)
    # OpenVINO rounds weights itself, and computes in what the device has.
    exported = export_onnx(base, model, request.half and not is_openvino, request.with_resize)
    difference = exported.difference
    try:
        if is_openvino:
            size, further = write_openvino(exported, request.out, request.half)
            difference += further
        else:
            write_atomic(request.out, exported.data)
            size = len(exported.data)
    except OSError as error:
        raise StoreError(f"'{request.out}' cannot be written: {error.strerror or error}") from error
    resize = measure_resize(model.transform) if request.with_resize else None
    notes = list_notes(model, exported)
    return ExportedModel(str(request.out), size, OPSET, difference, exported.facts, resize, notes)


def list_notes(model: Model, exported: Exported) -> list[str]:
    """Say what the graph does otherwise than `predict` does with the model."""
    notes = []
    if model.keys[0].base.precision == "bfloat16":
        notes.append("the model was trained on features in bfloat16, and the graph computes them in float32")
    if exported.facts.input == "picture" and model.transform.decode == "scaled":
        notes.append("the model was trained on JPEG files decoded at a part of their size; give it whole pictures")
    if exported.facts.input == "views":
        notes.append(f"the graph takes {model.views} views of each picture, as featx makes them (docs/onnx.md)")
    return notes
