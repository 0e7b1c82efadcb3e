"""Advice in words: what each step is worth, what was not measured, and the command to run next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from featx.advice.candidates import Candidate, Rung
from featx.evaluation.layer_scores import LayerScore
from featx.features.catalog import LayerSet
from featx.features.dataset import Dataset
from featx.requests import CompareRequest, column_flags, default_cache
from featx.selection.wording import describe_features
from featx.timing import format_seconds, round_roughly

CURVE_IS_FLAT = 0.01
"""Accuracy gained by the last doubling of the training images, below which more images help little."""

SAMPLE_PASSES = 7
"""Times that `--sample` runs the base over its images: once to see how familiar they are, then six views."""

SAMPLE_SECONDS = 10
"""What it takes beside that, about: loading the base and cross-validation."""

SAMPLE_IMAGES = 300
"""Images that are run through the base, at most, unless there are many classes: some seconds on two cores."""


def name_images(count: int, images: int) -> str:
    """Say how many of the training images something was measured on."""
    return f"all {images} training images" if count == images else f"{count} of {images} training images"


def describe_rungs(rungs: Sequence[Rung], images: int) -> list[str]:
    """Say what each step beyond the first is worth; images are those of the whole training part."""
    return [describe_rung(rung, images) for rung in rungs if rung.gain is not None]


def describe_rung(rung: Rung, images: int) -> str:
    """Write what a step gains, with its error, its price and what it was measured on."""
    what = describe_features([rung.layer], rung.pooling, rung.views)
    error = "" if rung.standard_error is None else f" +- {rung.standard_error:.1f}"
    price = "" if rung.seconds is None else f" for about {format_seconds(round_roughly(rung.seconds))} of extraction"
    verdict = ""
    if not rung.kept:
        verdict = ": no gain" if rung.gain is not None and rung.gain <= 0 else ": within its error"
    return f"{what}: {rung.gain:+.1f}{error} points{price}, measured on {name_images(rung.images, images)}{verdict}"


def gain_of_last_doubling(curve: Sequence[tuple[int, float]]) -> float:
    """Accuracy gained by the last doubling of the training images."""
    return curve[-1][1] - curve[-2][1]


def give_reasons(
    chosen: LayerScore, curve: Sequence[tuple[int, float]], evidence: Sequence[LayerScore], images: int
) -> list[str]:
    """Say in plain words what the advice rests on; images are those of the whole training part."""
    measured_on = name_images(chosen.images, images)
    reasons = [f"{chosen.layer} with {chosen.clf} reaches {chosen.best:.3f}, cross-validated on {measured_on}"]
    others = [layer for layer in evidence if layer is not chosen and layer.cached == chosen.cached]
    if others:
        reasons.append(compare_with_second(chosen, max(others, key=lambda layer: layer.best)))
    gain = gain_of_last_doubling(curve)
    outlook = "more images would help" if gain >= CURVE_IS_FLAT else "more images would help little"
    # Of many images the curve ends long before all of them.
    doubling = f" (to {curve[-1][0]})" if chosen.cached and chosen.images < images else ""
    reasons.append(f"the last doubling of the training images{doubling} brought {100 * gain:+.1f} points: {outlook}")
    return reasons


def error_of_difference(score: LayerScore) -> float:
    """Estimate the standard error of the difference of two accuracies like this one."""
    return float(np.sqrt(2 * max(0.0, score.best * (1 - score.best)) / score.images))


def compare_with_second(chosen: LayerScore, second: LayerScore) -> str:
    """Say how far behind the second layer is: within one standard error of the difference it counts as tied."""
    rank = "statistically tied" if second.best >= chosen.best - error_of_difference(chosen) else "runner-up"
    return f"{rank}: {second.layer} ({second.pooling}), {second.best:.3f}"


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
