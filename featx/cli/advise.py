"""`featx advise`: which layer to use, by what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from featx.base_choice import BaseChoice
from featx.cli.cache_options import feature_cache_options
from featx.cli.data_options import grouped_data
from featx.cli.evaluation_options import figure_options
from featx.cli.options import (
    base_options,
    class_weight_option,
    output_options,
    poolings_option,
    print_json,
    seed_option,
)
from featx.cli.progress import progress_bar
from featx.cli.terminal import say_text
from featx.log import escape_controls
from featx.requests import CompareRequest
from featx.storage.paths import CachePath

if TYPE_CHECKING:
    from featx.workflows.advise import Advice


@click.command("advise")
@grouped_data
@base_options
@poolings_option
@click.option(
    "--sample/--no-sample",
    default=None,
    help="Run a sample of the images through the base, which shows how similar they are to what it was trained on, and "
    "what layers that are not cached, more views and a longer pooling are worth."
    "  [default: where not every usual layer is cached]",
)
@figure_options
@class_weight_option
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the sample is run through the base.",
)
@seed_option
@feature_cache_options
@output_options
def command(
    data: str,
    base: BaseChoice,
    poolings: tuple[str, ...],
    sample: bool | None,
    seed: int,
    rehash: bool,
    cache: CachePath,
    as_json: bool,
    quiet: bool,
    **rows: Any,
) -> None:
    """Advise which layers of the base to use for DATA, by what is measured on its training part.

    Cached layers, and sets of them, are measured by cross-validation, and decide; others are measured on a sample of
    images that is run through the base, which also shows how similar DATA is to what the base was trained on, and what
    more views would be worth. It ends with the command to run next.

    \b
    Example:
      featx advise photos --base resnet50
    """
    from featx.bases.architectures.fast_torchvision import import_without_compiler
    from featx.workflows.advise import advise_layer

    request = CompareRequest(data, base, poolings=poolings, seed=seed, rehash=rehash, cache=cache, **rows)
    with progress_bar("layer", quiet) as progress:
        advice = advise_layer(request, progress, sample, import_without_compiler)
    if as_json:
        print_json(advice.to_dict())
    else:
        say_text(describe_advice(advice))


def describe_advice(advice: Advice) -> str:
    """Write the advice in plain words, below the scores that it rests on."""
    lines = [score_table(advice), "", f"{advice.images} training images of {advice.classes} classes."]
    useless = [layer for layer in advice.layers if layer.degenerate]
    for layer in useless:
        what = f"The features of {escape_controls(layer.layer)} ({layer.pooling}) are {layer.degenerate}"
        lines.append(f"{what}: they tell no images apart.")
    if advice.similarity is not None:
        lines.append(f"Similarity to what the base was trained on: {advice.similarity:.2f} of 1.")
        lines.append(f"Commonly advised, {advice.case}.")
    lines.append(escape_controls(f"Measured: {'; '.join(advice.reasons)}."))
    if advice.not_measured:
        lines.append(f"Not measured: {advice.not_measured}.")
    how = "" if advice.views == 1 else f", with {advice.views} views of each image"
    lines.append(f"Advice: {STRATEGIES[advice.strategy].format(escape_controls(advice.layer))}{how}.")
    return "\n".join([*lines, "", f"Next: {escape_controls(advice.command)}"])


def score_table(advice: Advice) -> str:
    """Write the scores of all layers as a table, the advised ones with a star."""
    from tabulate import tabulate

    classifiers = list(advice.layers[0].cv_accuracy)
    advised_layers = advice.layer.split("+")
    headings = ["", "layer", "pooling", "length", "images", "LogME", "H-score", "5-NN"]
    headings += [f"cv {name}" for name in classifiers]
    rows = []
    for layer in advice.layers:
        star = "*" if layer.layer in advised_layers and layer.pooling == advice.pooling else ""
        images = "all" if layer.images == advice.images else f"{layer.images} of {advice.images}"
        row = [star, escape_controls(layer.layer), layer.pooling, layer.dim, images]
        row += [f"{layer.logme:.3f}", f"{layer.h_score:.2f}", f"{layer.knn_accuracy:.3f}"]
        row += [f"{layer.cv_accuracy[name]:.3f}" for name in classifiers]
        rows.append(row)
    return tabulate(rows, headings, disable_numparse=True)


STRATEGIES = {
    "linear": "train a linear classifier on {}, the deepest layer",
    "mix": "concatenate {} and train a linear classifier on that",
    "shallow": "take features at {} and train a linear classifier there",
    "finetune": "fine-tune the base from {} on",
}
"""Strategy to how it is worded."""
