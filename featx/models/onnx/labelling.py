"""Runs an ONNX model over a listing: decode as ever, and let ONNX Runtime do the rest. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image

from featx.data.listing import Listing
from featx.data.loader import Loader
from featx.errors import RequestError
from featx.images.range_report import RangeReport
from featx.images.transform import to_pixels
from featx.images.views import FIXED_VIEWS, make_fixed_views
from featx.models.labelled import Labelled, list_readable
from featx.models.onnx.model import OUTPUT_NAME, OnnxModel
from featx.processes.machine import count_cores
from featx.requests import PredictRequest
from featx.timing import Clock
from featx.types import LayerFeatures, Pixels

OUTPUT = (OUTPUT_NAME, "")
"""Under which name the loader hands on what was computed: it asks for a layer and a pooling."""


def label_with_onnx(
    model: OnnxModel, request: PredictRequest, listing: Listing, ranges: RangeReport | None = None
) -> Iterator[Labelled]:
    """Label the images of a listing, batch by batch, in the order of its rows.

    Parameters
    ----------
    model : OnnxModel
    request : PredictRequest
    listing : Listing
    ranges : RangeReport, optional
        Receives what is to be said of the pictures.

    Raises
    ------
    RequestError
        If the request asks for what an ONNX model cannot do.
    ModelError
        If the model fails.
    """
    check_request(request)
    transform = model.transform
    loader = Loader(
        listing,
        lambda digest, row: True,
        lambda picture, digest: prepare(model, picture, digest),
        request.workers or count_cores(),
        Clock(),
        value_range=transform.value_range,
        # A graph that resizes takes the picture as it is.
        least_side=None if model.facts.input == "picture" else transform.least_side,
    )

    def start(pixels: list[Pixels]) -> Callable[[], LayerFeatures]:
        probabilities = np.stack([model.compute(picture) for picture in pixels])
        return lambda: {OUTPUT: probabilities}

    for batch in loader(range(len(listing)), start, lambda: None):
        rows, digests, failed = list_readable(batch.loaded, listing, ranges)
        probabilities = batch.features.get(OUTPUT, np.zeros((0, len(model.classes_)), np.float32)).astype(np.float64)
        yield Labelled(rows, digests, probabilities.argmax(axis=1), probabilities, failed)


def check_request(request: PredictRequest) -> None:
    """Refuse options that mean nothing where the file holds everything and ONNX Runtime runs it on the CPU.

    Raises
    ------
    RequestError
    """
    needless = {"weights": request.weights, "base": request.base, "batch_size": request.batch_size}
    given = [f"--{name.replace('_', '-')}" for name, value in needless.items() if value is not None]
    if request.device not in ("auto", "cpu"):
        given.append(f"--device {request.device}")
    if given:
        raise RequestError(
            f"an ONNX model holds all that it needs, and runs on the CPU, one image at a time: leave out "
            f"{', '.join(given)}"
        )


def prepare(model: OnnxModel, picture: Image.Image, digest: bytes) -> dict[int, Pixels]:
    """Make of a decoded picture what the graph takes, as the one view that the loader knows of.

    Parameters
    ----------
    model : OnnxModel
    picture : PIL.Image.Image
        Mode RGB.
    digest : bytes
        Of the file: further views are drawn by it.

    Returns
    -------
    dict of 0 to (crop, crop, 3), (v, crop, crop, 3) or (height, width, 3) uint8
    """
    if model.facts.input == "picture":
        return {0: np.asarray(picture)}
    if model.facts.input == "crop":
        return {0: to_pixels(picture, model.transform)}
    views = range(model.facts.views)
    made = make_views(picture, model, digest, views)
    return {0: np.stack([made[view] for view in views])}


def make_views(picture: Image.Image, model: OnnxModel, digest: bytes, views: Sequence[int]) -> dict[int, Pixels]:
    """Make the views of a picture, without torch where nothing random decides on them."""
    if len(views) <= len(FIXED_VIEWS):
        return make_fixed_views(picture, model.transform, views)
    # torchvision draws the further ones.
    from featx.images.augment import make_views as make_all

    return make_all(picture, model.transform, digest, views)
