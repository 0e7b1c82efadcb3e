"""`featx advise`: where to cut, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from featx.cli.options import (
    base_options,
    cache_option,
    data_argument,
    json_option,
    poolings_option,
    print_json,
    progress_bar,
    rehash_option,
    seed_option,
    verbosity_options,
)
from featx.requests import BaseChoice, CompareRequest

if TYPE_CHECKING:
    from featx.workflows.advise import Advice


@click.command("advise")
@data_argument
@base_options
@poolings_option
@seed_option
@rehash_option
@cache_option
@json_option
@verbosity_options
def command(
    data: str,
    base: BaseChoice,
    poolings: tuple[str, ...],
    seed: int,
    rehash: bool,
    cache: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Advise where to cut the base for DATA, by what is measured on its training part.

    Cached layers are judged by cross-validation and decide; the others on a sample of images that is run through the
    base, which also tells how like DATA is to what the base was trained on.

    \b
    Example:
      featx advise photos --base resnet50
    """
    from featx.workflows.advise import advise

    request = CompareRequest(data, base, poolings=poolings, seed=seed, rehash=rehash, cache=cache)
    with progress_bar("layer", quiet) as progress:
        advice = advise(request, progress)
    if as_json:
        print_json(advice.to_dict())
    else:
        click.echo(describe(advice))


def describe(advice: Advice) -> str:
    """Write the advice in plain words, below what it rests on."""
    from tabulate import tabulate

    lines = [
        [
            "*" if one.layer == advice.layer else "",
            *(one.layer, one.pooling, one.dim, "all" if one.cached else f"{one.images} of {advice.images}"),
            *(f"{one.logme:.3f}", f"{one.h_score:.2f}", f"{one.knn_accuracy:.3f}"),
            *(f"{accuracy:.3f}" for accuracy in one.cv_accuracy.values()),
        ]
        for one in advice.layers
    ]
    fits = [f"cv {name}" for name in advice.layers[0].cv_accuracy]
    headings = ["", "layer", "pooling", "length", "images", "LogME", "H-score", "5-NN", *fits]
    text = [tabulate(lines, headings, disable_numparse=True), ""]
    text.append(f"{advice.images} training images of {advice.classes} classes.")
    if advice.similarity is not None:
        text.append(f"Similarity to what the base was trained on: {advice.similarity:.2f} of 1.")
        text.append(f"Commonly advised, {advice.case}.")
    text += [f"Measured: {'; '.join(advice.reasons)}.", f"Advice: {WORDS[advice.strategy].format(advice.layer)}."]
    return "\n".join([*text, "", f"Next: {advice.command}"])


WORDS = {
    "linear": "train a linear classifier on {}, the deepest layer",
    "shallow": "cut at {} and train a linear classifier there",
    "finetune": "fine-tune the base from {} on",
}
"""Strategy: how it is said."""
