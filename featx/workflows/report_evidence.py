"""Maps of the evidence for a report: where in some images of a data set a model finds the class that it called them."""

from __future__ import annotations

from collections.abc import Sequence

from featx.base_choice import BaseChoice
from featx.data.listing import Listing
from featx.models.model import Model
from featx.reports.html.looking import Evidence
from featx.requests import PredictRequest


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
    import torch

    from featx.engines.compute import PixelBatches
    from featx.images.normalise import to_input
    from featx.inspection.activation_maps import map_evidence, run_layers
    from featx.models.base_of_model import load_model_base

    network = load_model_base(PredictRequest(model, (), weights=base.weights, base=base.name), model)
    layers = [key.layer for key in model.keys]
    layouts = [network.layer(name).layout for name in layers]
    batches = PixelBatches(listing, list(rows), network.id.transform)
    code_of = dict(zip(rows, codes, strict=True))
    explained: dict[int, Evidence] = {}
    for pixels in batches:
        for picture in pixels:
            row = batches.rows_given[len(explained)]
            images = to_input(torch.from_numpy(picture[None].copy()), network.id.transform)
            kept = run_layers(network, images, layers)
            activations = [kept[name] for name in layers]
            code = code_of[row]
            found = map_evidence(model.classifier, model.keys, layouts, activations, code)
            explained[row] = Evidence(model.classes_[code], found.values, found.method)
    return explained
