"""Label new images with a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from featx.data.given_images import list_given_images
from featx.data.listing import FailedImage
from featx.images.range_report import RangeReport
from featx.models.onnx.model import is_onnx_file
from featx.requests import PredictRequest
from featx.types import Progress

if TYPE_CHECKING:
    from featx.models.labelled import Labelled
    from featx.models.model import Model
    from featx.models.onnx.model import OnnxModel

    LabelListing = Callable[..., Iterator[Labelled]]


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes
    ----------
    path : str
        The file; "image I" for the I-th of the images given, counted from 0, if it was given in memory.
    label : str
        The most probable class.
    probability : float
    probabilities : dict
        Class to probability: all classes, in the model's order.
    """

    path: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


@dataclass
class Predictions:
    """What `predict` gives: the labelled images and those that could not be read, each in the order given.

    Attributes
    ----------
    labelled : list of Prediction
    failed : list of FailedImage
    paths : sequence of str
        All of them, in the order given.
    classes : sequence of str
        The model's.
    notes : list of str
        How pictures were read, where that needs saying.
    """

    labelled: list[Prediction]
    failed: list[FailedImage]
    paths: Sequence[str] = ()
    classes: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Give plain values for JSON, in the order given; an image that failed has no label but a reason."""
        entries = {image.path: image.to_dict() for image in self.labelled}
        for file in self.failed:
            nothing = {"label": None, "probability": None, "probabilities": None}
            entries[file.path] = {"path": file.path, **nothing, "reason": file.reason}
        return [entries[path] for path in self.paths or entries]


def label_images(request: PredictRequest, progress: Progress | None = None) -> Predictions:
    """Label images with a model that `fit` or `finetune` made, or with what `export` made of one.

    Parameters
    ----------
    request : PredictRequest
        Its `model` is a path, also of an ONNX file, or a `Model`; its `images` are files, folders, tables of paths,
        PIL images or uint8 arrays of (height, width, 3).
    progress : callable, optional
        Called with the number of images done and to be done.

    Returns
    -------
    Predictions
        Images that failed are listed in it; no other image is lost for their sake.

    Raises
    ------
    ModelError
        If the model cannot be read, or does not fit this featx.
    WeightsError
        If the weights cannot be had, or their digest differs from the model's.
    UnknownName
        If this featx has no such base, layer, pooling or device.
    DataError
        If there are no images, or something is neither a path nor a picture.
    """
    model, label_listing = open_any_model(request)
    listing = list_given_images(request.images, request.path_column)
    labelled: list[Prediction] = []
    failed: list[FailedImage] = []
    ranges = RangeReport()
    for batch in label_listing(model, request, listing, ranges):
        paths = [listing.paths[row] for row in batch.rows]
        # Six digits, as the files that scripts read have always had.
        rounded_rows = batch.probabilities.round(6).tolist()
        for path, code, rounded in zip(paths, batch.codes, rounded_rows, strict=True):
            labelled.append(make_prediction(model, path, int(code), rounded))
        failed += batch.failed
        if progress:
            progress(len(labelled) + len(failed), len(listing))
    ranges.warn(model.transform.value_range is not None)
    return Predictions(labelled, failed, listing.paths, model.classes_, ranges.list_notes())


def open_any_model(request: PredictRequest) -> tuple[Model | OnnxModel, LabelListing]:
    """Read the model that a request names, and give it with what runs it over a listing.

    Of ONNX files no torch is imported, which takes longer than all the rest.
    """
    if is_onnx_file(request.model):
        from featx.models.onnx.labelling import label_with_onnx
        from featx.models.onnx.model import load_onnx_model

        return load_onnx_model(request.model), label_with_onnx
    from featx.models.base_of_model import open_model
    from featx.models.labelling import label_listing

    return open_model(request), label_listing


def make_prediction(model: Model | OnnxModel, path: str, code: int, probabilities: Sequence[float]) -> Prediction:
    """Join a path to its class and all probabilities."""
    by_class = dict(zip(model.classes_, probabilities, strict=True))
    return Prediction(path, model.classes_[code], probabilities[code], by_class)
