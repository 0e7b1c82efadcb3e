"""What a model's layers see: maps of the evidence for a class, and the channels that speak most for each."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from featx.bases.base import Base
from featx.bases.pooling import pooled_shape
from featx.data.given_images import list_given_images
from featx.data.listing import FailedImage
from featx.engines.compute import PixelBatches
from featx.errors import ModelError, RequestError, unknown
from featx.files import make_folder
from featx.images.normalise import to_input
from featx.inspection.activation_maps import ChannelEffect, EvidenceMap, map_evidence, rank_channels, run_layers
from featx.models.base_of_model import load_model_base, open_model
from featx.models.model import Model
from featx.requests import ExplainRequest
from featx.types import Pixels, Progress

OPACITY = 0.5
"""How much of the picture the colours of the map hide, where the evidence is strongest."""


@dataclass(frozen=True)
class Explained:
    """A picture and where the evidence for its class lies.

    Attributes
    ----------
    path : str
    label : str
        The class that is explained: the most probable one, or the one asked for.
    probability : float
    score, intercept : float
        The score of the class, and what of it belongs to no place.
    method : str
        "evidence", which is exact, or "gradient times activation".
    peak : tuple of two floats
        Where the map has its maximum, from the left and from the top, as shares of what the base sees.
    file : str
        The picture that was written, beside its map.
    values : list of list of float
        The map.
    """

    path: str
    label: str
    probability: float
    score: float
    intercept: float
    method: str
    peak: tuple[float, float]
    file: str
    values: list[list[float]] = field(repr=False, default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Explanations:
    """What `explain` gives: the pictures in the order given, and those that could not be read."""

    explained: list[Explained]
    failed: list[FailedImage] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            "explained": [each.to_dict() for each in self.explained],
            "failed": [asdict(each) for each in self.failed],
        }


def explain_images(request: ExplainRequest, progress: Progress | None = None) -> Explanations:
    """Write pictures with maps of the evidence for a class.

    Parameters
    ----------
    request : ExplainRequest
    progress : callable, optional
        Called with the number of images done and to be done.

    Raises
    ------
    ModelError
        If the model cannot be read, does not fit this featx, or has no map.
    WeightsError
        If the weights cannot be had.
    UnknownName
        If the model has no class of the name asked for.
    """
    if request.out is None:
        raise RequestError("pictures with their maps are written to a folder: name it with --out (out= in Python)")
    model = open_model(request)
    if request.label is not None and request.label not in model.classes_:
        raise unknown("class of the model", request.label, model.classes_)
    listing = list_given_images(request.images, request.path_column)
    base = load_model_base(request, model)
    make_folder(request.out)
    rows = list(range(len(listing)))
    batches = PixelBatches(listing, rows, base.id.transform)
    explained: list[Explained] = []
    for pixels in batches:
        for picture in pixels:
            row = batches.rows_given[len(explained)]
            file = request.out / f"{row:04}-{Path(listing.paths[row]).stem[:80]}.png"
            explained.append(explain_picture(model, base, picture, request.label, (listing.paths[row], file)))
            if progress:
                progress(len(explained), len(listing))
    given = set(batches.rows_given)
    failed = [FailedImage(listing.paths[row], "it cannot be decoded") for row in rows if row not in given]
    return Explanations(explained, failed)


def explain_picture(model: Model, base: Base, pixels: Pixels, label: str | None, names: tuple[str, Path]) -> Explained:
    """Explain one picture, as the base sees it, and write it beside its map.

    Parameters
    ----------
    pixels : (crop, crop, 3) uint8
    label : str or None
        None: the most probable class.
    names : pair of str and pathlib.Path
        Where the picture is from, and the file to be written.
    """
    path, file = names
    images = to_input(torch.from_numpy(pixels[None].copy()), base.id.transform)
    kept = run_layers(base, images, [key.layer for key in model.keys])
    layouts = [base.layer(key.layer).layout for key in model.keys]
    activations = [kept[key.layer] for key in model.keys]
    wanted: dict[str, list[str]] = {}
    for key in model.keys:
        wanted.setdefault(key.layer, []).append(key.pooling)
    with torch.no_grad():
        outputs = {pair: tensor.float().numpy() for pair, tensor in base.forward(images, wanted).items()}
    codes, probabilities = model.classify(model.features(outputs))
    code = int(codes[0]) if label is None else model.classes_.index(label)
    found = map_evidence(model.classifier, model.keys, layouts, activations, code)
    probability = round(float(probabilities[0, code]), 6)
    draw_map(pixels, found.values, f"{model.classes_[code]} {probability:.3f}").save(file)
    return Explained(
        path=path,
        label=model.classes_[code],
        probability=probability,
        score=found.score,
        intercept=found.intercept,
        method=found.method,
        peak=find_peak(found),
        file=str(file),
        values=found.values.tolist(),
    )


def find_peak(found: EvidenceMap) -> tuple[float, float]:
    """Find the middle of the place with the most evidence: from the left and from the top, as shares of the sides."""
    height, width = found.values.shape
    row, column = divmod(int(found.values.argmax()), width)
    return (column + 0.5) / width, (row + 0.5) / height


def draw_map(pixels: Pixels, values: NDArray[np.float64], caption: str) -> Image.Image:
    """Draw a picture and, beside it, the same with red where evidence speaks for the class and blue where against."""
    side = (pixels.shape[1], pixels.shape[0])
    largest = float(np.abs(values).max()) or 1.0
    enlarged = Image.fromarray((values / largest).astype(np.float32)).resize(side, Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(enlarged), -1, 1)[:, :, None]
    colour = np.where(strength > 0, np.array([255.0, 0, 0]), np.array([0, 0, 255.0]))
    opacity = OPACITY * np.abs(strength)
    grey = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    shaded = (grey * (1 - opacity) + colour * opacity).astype(np.uint8)
    drawn = Image.new("RGB", (2 * side[0], side[1]))
    drawn.paste(Image.fromarray(pixels), (0, 0))
    drawn.paste(Image.fromarray(shaded), (side[0], 0))
    # The built-in font may lack the letters of a name.
    ImageDraw.Draw(drawn).text((side[0] + 4, 4), caption.encode("ascii", "replace").decode(), fill="white")
    return drawn


def list_channels(request: ExplainRequest, most: int = 5) -> list[ChannelEffect]:
    """List the channels that speak most for each class of a model.

    Raises
    ------
    ModelError
        If the model cannot be read, is not linear, or its pooling keeps no channels.
    """
    model = open_model(request)
    base = load_model_base(request, model)
    columns: list[tuple[str, int]] = []
    for key in model.keys:
        layer = base.layer(key.layer)
        length = math.prod(pooled_shape(key.pooling, layer.shape, layer.layout))
        channels = math.prod(pooled_shape("max", layer.shape, layer.layout))
        columns += [(key.layer, channel) for channel in number_channels(key.pooling, length, channels)]
    return rank_channels(model.classifier, model.classes_, columns, most)


def number_channels(pooling: str, length: int, channels: int) -> list[int]:
    """Say of which channel each number of a feature is, by the order in which poolings write them.

    Raises
    ------
    ModelError
        If the pooling keeps whole maps, whose order depends on the layer.
    """
    if length == channels:
        return list(range(channels))
    if pooling == "avg+max":
        return [*range(channels), *range(channels)]
    if pooling == "pyramid":
        quarters = length // channels - 1
        return [*range(channels), *(channel for channel in range(channels) for _ in range(quarters))]
    raise ModelError(f"pooling '{pooling}' keeps places, not channels: fit with avg or max to rank channels")
