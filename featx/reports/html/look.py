"""Look at data, at features and at layers for a page, with the tools that are handed in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from featx.base_choice import BaseChoice
from featx.data.listing import Listing
from featx.errors import FeatxError, ModelError, WeightsError
from featx.features.catalog import LayerSet
from featx.models.model import Model, load_model
from featx.processes.background import Background
from featx.reports.html.channels import POOLINGS as CHANNEL_POOLINGS
from featx.reports.html.channels import find_channels
from featx.reports.html.looking import (
    Answers,
    ChannelPlace,
    Evidence,
    FeatureMap,
    Inspection,
    LayerChannels,
    Looked,
    Place,
    ToBePlaced,
)
from featx.reports.html.material import Material
from featx.reports.html.sections_of_images import MOST_MISTAKES, group_by_class, list_wrong
from featx.reports.html.sections_of_looking import MOST_POINTS
from featx.requests import CompareRequest, ReportRequest
from featx.store.base_json import StoredBase

MOST_CUTS = 5
CHANNELS = 4
PICTURES_OF_CHANNEL = 4
"""What is shown of what layers see: cuts, channels of each, and pictures of each channel."""

MOST_EXPLAINED_CLASSES = 20
"""Classes of which evidence is mapped: each picture runs through the base once more."""


NO_TORCH = "torch is not installed, which runs networks"


@dataclass(frozen=True)
class Tools:
    """Other ways to look that a page shows; None where there is none.

    Attributes
    ----------
    inspect : callable or None
        Looks at data: a request for its features to what `featx inspect --json` prints.
    place : callable or None
        Places images on a map.
    explain : callable or None
        Maps evidence: a model, the base, a listing, rows, and the places of the classes to explain, to maps by row.
    answer : callable or None
        Maps what channels answer to: a request, the cached base, a listing, and channels with their rows.
    """

    inspect: Callable[[CompareRequest], Inspection] | None = None
    place: Place | None = None
    explain: Callable[[Model, BaseChoice, Listing, Sequence[int], Sequence[int]], dict[int, Evidence]] | None = None
    answer: Callable[[CompareRequest, StoredBase, Listing, Sequence[ChannelPlace]], Answers] | None = None


def start_inspection(request: ReportRequest, tools: Tools) -> Background[Inspection] | None:
    """Begin to look at the data of a report, which needs no results; None where that is not wanted."""
    if tools.inspect is None or not request.inspect:
        return None
    features = replace(request.features.held_out(), layers=(), poolings=(), classifiers=())
    return Background(partial(tools.inspect, features))


def look(material: Material, tools: Tools, inspection: Background[Inspection] | None) -> Looked:
    """Look at features and at layers, with the tools that are there, while the data is inspected."""
    request = material.request
    # They take the longest, and nothing waits for them.
    maps = [] if tools.place is None else start_maps(material, tools.place)
    evidence, remark = find_evidence(material, tools)
    layers = look_at_layers(material) if request.shows_images else []
    answers, answers_remark = find_answers(material, layers, tools)
    return Looked(
        inspection=inspection.result() if inspection else None,
        maps=[found for each in maps if len((found := each.result()).rows)],
        layers=layers,
        answers=answers,
        answers_remark=answers_remark,
        evidence=evidence,
        evidence_remark=remark,
    )


def list_cuts(material: Material) -> list[LayerSet]:
    """List the single cuts of the base in detail, in its order, each with one pooling that keeps channels."""
    cuts: dict[str, LayerSet] = {}
    comparison = material.subject.comparison
    for layer_set in (*comparison.layer_sets, *material.layer_sets):
        if len(layer_set.keys) == 1 and layer_set.pooling in CHANNEL_POOLINGS:
            cuts.setdefault(layer_set.name, layer_set)
    order = {str(layer["name"]): place for place, layer in enumerate(comparison.base.layers)}
    return sorted(cuts.values(), key=lambda layer_set: order.get(layer_set.name, len(order)))


def take_images(material: Material, layer_set: LayerSet, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Give the features of some images as they are, without further views: (m, d) float32."""
    return replace(material.subject.comparison.unloaded(layer_set), views=1).take(rows)


def draw_rows(material: Material, most: int) -> NDArray[np.intp]:
    """Draw images, (m,) int: all where there are few."""
    count = len(material.dataset.y)
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(material.request.features.seed).permutation(count)[:most])


def start_maps(material: Material, place: Place) -> list[Background[FeatureMap]]:
    """Begin to place images by the features of the row in detail, and beside it by those of the shallowest cut."""
    subject = material.subject.layer_set
    if subject is None:
        return []
    shown = [subject]
    cuts = list_cuts(material)
    if cuts and cuts[0].keys != subject.keys:
        shown.insert(0, cuts[0])
    return [Background(partial(make_map, material, place, layer_set)) for layer_set in shown]


def make_map(material: Material, place: Place, layer_set: LayerSet) -> FeatureMap:
    """Place images by the features of one layer set; of no rows where there are too few."""
    rows = draw_rows(material, MOST_POINTS)
    stated = {
        "keys": [json.loads(key.to_json()) for key in layer_set.keys],
        "rows": material.dataset.digest,
        "most": MOST_POINTS,
    }
    features = material.request.features
    X = take_images(material, layer_set, rows)
    placed, x, y = place(ToBePlaced(X, material.dataset.y[rows], features.seed, features.cache, stated))
    return FeatureMap(layer_set.name, layer_set.pooling, rows[np.asarray(placed, np.intp)].tolist(), x, y)


def look_at_layers(material: Material) -> list[LayerChannels]:
    """Find a few channels at each cut, and the images that they answer to most."""
    rows = draw_rows(material, MOST_POINTS)
    cuts = list_cuts(material)
    # The first, the last, and evenly between where there are many.
    places = sorted(set(np.linspace(0, len(cuts) - 1, min(len(cuts), MOST_CUTS)).round().astype(int).tolist()))
    layers = []
    for layer_set in [cuts[place] for place in places]:
        X = take_images(material, layer_set, rows)
        found = find_channels(X, material.dataset.y[rows], material.dataset.classes, CHANNELS, PICTURES_OF_CHANNEL)
        channels = [replace(each, rows=rows[each.rows].tolist()) for each in found]
        layers.append(LayerChannels(layer_set.name, layer_set.pooling, channels))
    return layers


def find_answers(material: Material, layers: Sequence[LayerChannels], tools: Tools) -> tuple[Answers, str]:
    """Map where channels answer in their pictures; or say what stands in the way."""
    places = [
        (layer.layer, channel.number, row) for layer in layers for channel in layer.channels for row in channel.rows
    ]
    if tools.answer is None or not places:
        return {}, ""
    comparison = material.subject.comparison
    try:
        return tools.answer(material.request.features, comparison.base, material.dataset.listing, places), ""
    except FeatxError as error:
        return {}, material.without_paths(f"{error}")
    except ImportError:
        return {}, NO_TORCH


def find_evidence(material: Material, tools: Tools) -> tuple[dict[int, Evidence], str]:
    """Map the evidence in the surest mistakes, and in a right and a wrong image of each class.

    Returns
    -------
    evidence : dict of int to Evidence
    remark : str
        Why there is none, where something stood in the way.
    """
    request = material.request
    if tools.explain is None or request.model is None or not request.shows_images:
        return {}, ""
    model = request.model if isinstance(request.model, Model) else load_model(request.model, with_base=False)
    places = list_wrong(material)[:MOST_MISTAKES]
    for typical, hard in group_by_class(material)[:MOST_EXPLAINED_CLASSES]:
        places += [*typical[:1], *hard[:1]]
    places = [place for place in dict.fromkeys(places) if material.predictions.classes[place] >= 0]
    rows = material.held_out[places].tolist()
    codes = material.predictions.classes[places].tolist()
    try:
        return tools.explain(model, request.features.base, material.dataset.listing, rows, codes), ""
    except (ModelError, WeightsError) as error:
        return {}, material.without_paths(f"{error}. Another model may have maps:")
    except ImportError:
        return {}, f"{NO_TORCH}. With it, this shows maps:"
