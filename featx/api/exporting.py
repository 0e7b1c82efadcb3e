"""Models as graphs that run without featx."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.api.keywords import takes_options
from featx.fields import fill
from featx.requests import ModelExportRequest

if TYPE_CHECKING:
    from featx.models.model import Model
    from featx.workflows.export_model import ExportedModel


@takes_options(ModelExportRequest, "to", "half", "with_resize", "weights", "base", "yes")
def export(model: str | Path | Model, out: str | Path, **options: Any) -> ExportedModel:
    """Write a model as one graph: base and classifier, pixels in, probabilities out.

    Parameters
    ----------
    model : str, pathlib.Path or Model
        A model file, or the model of a fit.
    out : str or pathlib.Path
        The file to be written: `.onnx`, or `.xml` for OpenVINO.
    **options
        `to` ("onnx" or "openvino"), `half`, `with_resize`, `weights`, `base` and `yes` as in `ModelExportRequest`.

    Returns
    -------
    ExportedModel
        `bytes`, `opset`, the `difference` from what torch computes, and the `facts` in the file's metadata.

    Raises
    ------
    FeatxError
        If a package is missing, the model or its weights cannot be had, or no graph can hold the model.

    Examples
    --------
    >>> featx.export("digits.featx", "digits.onnx").difference
    """
    from featx.workflows.export_model import export_model

    given = {name: value for name, value in options.items() if value is not None}
    return export_model(fill(ModelExportRequest, {**given, "model": model, "out": Path(out)}, "featx.export()"))
