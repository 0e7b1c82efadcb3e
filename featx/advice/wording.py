"""Advice in words: what each step is worth, what was not measured, and the command to run next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from featx.advice.candidates import Candidate, Rung
from featx.features.catalog import LayerSet
from featx.features.dataset import Dataset
from featx.requests import CompareRequest, column_flags, default_cache
from featx.selection.wording import describe_features
from featx.timing import format_seconds, round_roughly

SAMPLE_PASSES = 7
"""Times that `--sample` runs the base over its images: once to see how familiar they are, then six views."""

SAMPLE_SECONDS = 10
"""What it takes beside that, about: loading the base and cross-validation."""

SAMPLE_IMAGES = 300
"""Images that are run through the base, at most, unless there are many classes: some seconds on two cores."""


def describe_rungs(rungs: Sequence[Rung]) -> list[str]:
    """Say what each step beyond the first is worth."""
    return [describe_rung(rung) for rung in rungs if rung.gain is not None]


def describe_rung(rung: Rung) -> str:
    """Write what a step gains, with its error, its price and what it was measured on."""
    what = describe_features([rung.layer], rung.pooling, rung.views)
    error = "" if rung.standard_error is None else f" +- {rung.standard_error:.1f}"
    price = "" if rung.seconds is None else f" for about {format_seconds(round_roughly(rung.seconds))} of extraction"
    images = f"{rung.images} images" if not rung.cached else f"all {rung.images} training images"
    verdict = ""
    if not rung.kept:
        verdict = ": no gain" if rung.gain is not None and rung.gain <= 0 else ": within its error"
    return f"{what}: {rung.gain:+.1f}{error} points{price}, measured on {images}{verdict}"


def describe_not_measured(layer_sets: Sequence[LayerSet], dataset: Dataset) -> str:
    """Say what only a sample would tell, and about how long that would take.

    Parameters
    ----------
    layer_sets : sequence of LayerSet
        What is cached; the time that it took to extract is known.
    """
    seconds_per_image = max(layer_set.ms_per_image for layer_set in layer_sets) / 1e3
    images = min(SAMPLE_IMAGES, int(dataset.train.sum()))
    seconds = SAMPLE_SECONDS + SAMPLE_PASSES * images * seconds_per_image
    return (
        "what features that are not cached (further views, a longer pooling) are worth, and how similar the images are "
        f"to what the base was trained on; --sample measures it on {images} images in about "
        f"{format_seconds(round_roughly(seconds))}"
    )


def next_command(request: CompareRequest, advised: Candidate, how: tuple[str, str], is_cached: bool) -> str:
    """Write the command that the advice comes to; one that extracts has the fit after it.

    Parameters
    ----------
    advised : Candidate
    how : tuple of (strategy, classifier)
    is_cached : bool
        Whether the features of the candidate are cached.
    """
    strategy, clf = how
    columns = [*column_flags(request.path_column, request.label_column), *request.group_flags()]
    if strategy == "finetune":
        words = ["featx", "finetune", request.data, *columns, *request.base.flags(), "--from", advised.layer]
        words += class_weight_flags(request)
        return shlex.join([*words, "--out", "model.featx", *cache_flags(request)])
    words = ["featx", "fit", request.data, *columns, *request.base.flags()]
    words += ["--layer", advised.layer, "--clf", clf, "--pooling", advised.pooling]
    if advised.views > 1:
        words += ["--views", str(advised.views), "--test-views", str(advised.views)]
    words += class_weight_flags(request)
    if request.select is not None:
        words += ["--select", request.select]
    if request.positive is not None:
        words += ["--positive", request.positive]
    fit = shlex.join([*words, "--out", "model.featx", *cache_flags(request)])
    if is_cached:
        return fit
    extraction = request.extraction(advised.layers, [advised.pooling])
    return f"{replace(extraction, views=advised.views).command()} && {fit}"


def class_weight_flags(request: CompareRequest) -> list[str]:
    """Write the class weights of a request as flags, where it has any."""
    return [] if request.class_weight == "none" else ["--class-weight", str(request.class_weight)]


def cache_flags(request: CompareRequest) -> list[str]:
    """Write the cache of a request as flags, where it is not the usual one."""
    return [] if request.cache == default_cache() else ["--cache", str(request.cache)]
