"""Maps for a report: where a model finds the class that it called an image, and what channels of layers answer to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.base_choice import BaseChoice
from featx.data.listing import Listing
from featx.errors import WeightsError
from featx.features.cached_base import open_cached_base
from featx.models.model import Model
from featx.reports.html.looking import Answers, ChannelPlace, Evidence
from featx.requests import CompareRequest, PredictRequest
from featx.store.base_json import StoredBase

if TYPE_CHECKING:
    from torch import Tensor

    from featx.bases.base import Base


def explain_rows(
    model: Model, base: BaseChoice, listing: Listing, rows: Sequence[int], codes: Sequence[int]
) -> dict[int, Evidence]:
    """Map the evidence for a class in each of some images.

    Raises
    ------
    ModelError
        If the model has no map.
    WeightsError
        If the weights of its base cannot be had.
    """
    from featx.inspection.activation_maps import map_evidence, run_layers
    from featx.models.base_of_model import load_model_base

    network = load_model_base(PredictRequest(model, (), weights=base.weights, base=base.name), model)
    layers = [key.layer for key in model.keys]
    layouts = [network.layer(name).layout for name in layers]
    code_of = dict(zip(rows, codes, strict=True))
    explained: dict[int, Evidence] = {}
    for row, image in read_inputs(network, listing, rows):
        kept = run_layers(network, image, layers)
        activations = [kept[name] for name in layers]
        code = code_of[row]
        found = map_evidence(model.classifier, model.keys, layouts, activations, code)
        explained[row] = Evidence(model.classes_[code], found.values, found.method)
    return explained


def answer_rows(
    features: CompareRequest, stored: StoredBase, listing: Listing, places: Sequence[ChannelPlace]
) -> Answers:
    """Map how strongly channels of layers answer to each place of some images; layers that have no places give none.

    Raises
    ------
    WeightsError
        If the weights of the base cannot be had, are not named, or are not those of the features.
    """
    from featx.inspection.activation_maps import map_channels

    network = open_cached_base(features, stored)
    if network.id != stored.id:
        raise WeightsError("the base with these weights is not the one that the features were computed with")
    wanted: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for layer, number, row in places:
        wanted[row][layer].append(number)
    answers: dict[ChannelPlace, NDArray[np.float64]] = {}
    for row, image in read_inputs(network, listing, sorted(wanted)):
        for (layer, number), values in map_channels(network, image, wanted[row]).items():
            answers[layer, number, row] = values
    return answers


def read_inputs(network: Base, listing: Listing, rows: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
    """Read images as a base takes them: yield row and (1, 3, crop, crop) float32; broken ones are passed over.

    Meanwhile torch has one thread: maps of features are made beside, and two would wait for each other at every layer.
    """
    import torch

    from featx.engines.compute import PixelBatches
    from featx.engines.threads import one_torch_thread
    from featx.images.normalise import to_input

    batches = PixelBatches(listing, list(rows), network.id.transform)
    pictures = (picture for pixels in batches for picture in pixels)
    with one_torch_thread(torch.device("cpu")):
        for place, picture in enumerate(pictures):
            yield batches.rows_given[place], to_input(torch.from_numpy(picture[None].copy()), network.id.transform)
