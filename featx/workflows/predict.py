"""Label new images with a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.data.given_images import list_given_images
from featx.data.listing import FailedImage
from featx.errors import ModelError
from featx.images.range_report import RangeReport
from featx.models.onnx.model import is_onnx_file
from featx.requests import PredictRequest
from featx.types import Progress

if TYPE_CHECKING:
    from featx.models.labelled import Labelled
    from featx.models.model import Model
    from featx.models.onnx.model import OnnxModel

    LabelListing = Callable[..., Iterator[Labelled]]

UNKNOWN = "unknown"
"""Label of pictures that `--reject` turns away."""

NO_STRANGENESS = (
    "the model does not tell strangers: it is of an earlier featx, fine-tuned, or was fitted out of core or on classes "
    "of one image"
)


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
    strangeness : float or None
        The share of known pictures that are less strange; above 1 where none is as strange. None where the model does
        not tell.
    classes : list of str or None
        The set of classes that was asked for, the most probable first.
    """

    path: str
    label: str
    probability: float
    probabilities: dict[str, float]
    strangeness: float | None = None
    classes: list[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; the set of classes only where it was asked for."""
        values = asdict(self)
        if self.classes is None:
            del values["classes"]
        return values


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
            nothing = {"label": None, "probability": None, "probabilities": None, "strangeness": None}
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
    notes = check_known(model, request)
    listing = list_given_images(request.images, request.path_column)
    labelled: list[Prediction] = []
    failed: list[FailedImage] = []
    ranges = RangeReport()
    for batch in label_listing(model, request, listing, ranges):
        paths = [listing.paths[row] for row in batch.rows]
        # Six digits, as the files that scripts read have always had.
        rounded_rows = batch.probabilities.round(6).tolist()
        sets = choose_sets(model, request, batch)
        strangeness = [None] * len(paths) if batch.strangeness is None else batch.strangeness.round(6).tolist()
        for path, code, rounded, strange, chosen in zip(
            paths, batch.codes, rounded_rows, strangeness, sets, strict=True
        ):
            prediction = make_prediction(model, path, int(code), rounded)
            label = UNKNOWN if is_rejected(strange, request.reject) else prediction.label
            labelled.append(replace(prediction, label=label, strangeness=strange, classes=chosen))
        failed += batch.failed
        if progress:
            progress(len(labelled) + len(failed), len(listing))
    ranges.warn(model.transform.value_range is not None)
    return Predictions(labelled, failed, listing.paths, model.classes_, [*ranges.list_notes(), *notes])


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


def check_known(model: Model | OnnxModel, request: PredictRequest) -> list[str]:
    """Say once that a model tells no strangers, which goes without saying of an ONNX file; refuse what it cannot do.

    Raises
    ------
    ModelError
        If strangers are to be turned away, or sets are asked for, and the model does not know how.
    """
    if is_onnx_file(request.model):
        if request.reject is None and request.sets is None:
            return []
        raise ModelError(
            "an ONNX file tells neither strangers nor sets of classes: name the model of featx that it was made "
            "of, or leave out --reject and --set"
        )
    if request.reject is not None and model.known is None:
        raise ModelError(f"nothing can be rejected: {NO_STRANGENESS}. Fit it anew, or leave out --reject")
    if request.sets is not None and model.sets is None:
        raise ModelError(
            "the model gives no sets of classes: it is of an earlier featx, fine-tuned, a dummy, or was fitted out of "
            "core. Fit it anew, or leave out --set"
        )
    if request.reject is not None and UNKNOWN in model.classes_:
        raise ModelError(f"the model has a class '{UNKNOWN}', as what is rejected is called: leave out --reject")
    return [NO_STRANGENESS] if model.known is None else []


def is_rejected(strangeness: float | None, reject: float | None) -> bool:
    """Whether a picture is stranger than all but a share of known ones."""
    return reject is not None and strangeness is not None and strangeness > 1 - reject


def choose_sets(model: Model | OnnxModel, request: PredictRequest, batch: Labelled) -> list[list[str] | None]:
    """Choose the set of classes of each image of a batch, the most probable first; None where none is asked for."""
    if request.sets is None or model.sets is None:
        return [None] * len(batch.rows)
    sets: list[list[str] | None] = []
    chosen = model.sets.choose(batch.probabilities, request.sets)
    for row, probabilities in zip(chosen, batch.probabilities, strict=True):
        order = np.argsort(-probabilities, kind="stable")
        sets.append([model.classes_[code] for code in order.tolist() if row[code]])
    return sets
