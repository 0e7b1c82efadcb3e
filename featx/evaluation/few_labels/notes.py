"""What is to be known of curves over the number of labelled images: a phrase each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featx.errors import shorten
from featx.evaluation.comparison import Comparison
from featx.evaluation.few_labels.draws import count_training_images, draw_labels
from featx.evaluation.few_labels.training import can_choose, fix_params, has_curve, take_labelled

MOST_CLASSES = 4
"""Small classes that are named."""


def note_few_labels(comparison: Comparison, names: Sequence[str], shots: Sequence[int]) -> list[str]:
    """Say what the interval is of, and what could not be done as it was asked for.

    Parameters
    ----------
    comparison : Comparison
        Of any base.
    names : sequence of str
        The classifiers that have curves.
    shots : sequence of int
        The numbers of labelled images that some class has.
    """
    notes = [
        note_interval(comparison),
        *note_fixed(comparison, names, shots),
        *note_small_classes(comparison, shots),
        *note_left_out(comparison, shots),
    ]
    without = [name for name in comparison.classifiers if not has_curve(name)]
    if without:
        notes.append(f"no curve of {' and '.join(without)}, which takes nothing from few labels")
    return notes


def note_interval(comparison: Comparison) -> str:
    """Say what the interval is of."""
    request = comparison.request
    draws = request.count_draws()
    groups = ", of different groups first" if comparison.dataset.has_groups else ""
    if draws == 1:
        return f"labelled images are drawn once, with seed {request.seed}{groups}: there is no interval (--draws 10)"
    return (
        f"(±) half of a 95 % t interval over {draws} draws of the labelled images{groups} (seeds {request.seed} to "
        f"{request.seed + draws - 1}): it holds for the drawing, on these {int(comparison.dataset.test.sum())} "
        "held-out images"
    )


def note_fixed(comparison: Comparison, names: Sequence[str], shots: Sequence[int]) -> list[str]:
    """Say with how many images nothing could be chosen by cross-validation, and what was taken instead."""
    draws = comparison.request.count_draws()
    always = []
    sometimes = []
    for each in shots:
        fixed = count_fixed(comparison, each)
        if fixed == draws:
            always.append(str(each))
        elif fixed:
            sometimes.append(f"{each} ({fixed} of {draws} draws)")
    images = [*always, *sometimes]
    if not images:
        return []
    params = []
    for name in names:
        params += [f"{parameter} = {value:.3g} ({name})" for parameter, value in fix_params(name).items()]
    noun = "image" if images == ["1"] else "images"
    middle = ", the middle of the grid of C" if any("C" in fix_params(name) for name in names) else ""
    return [
        f"with {', '.join(images)} {noun} of each class there are no folds to choose by: {', '.join(params)}{middle}"
    ]


def count_fixed(comparison: Comparison, shots: int) -> int:
    """Count the draws in which cross-validation cannot choose, with so many images of each class."""
    seed = comparison.request.seed
    draws = [draw_labels(comparison.dataset, seed + number) for number in range(comparison.request.count_draws())]
    return sum(not can_choose(take_labelled(comparison, draw.take(shots), draw.seed)) for draw in draws)


def note_small_classes(comparison: Comparison, shots: Sequence[int]) -> list[str]:
    """Say which classes have fewer images than are to be labelled."""
    counts = count_training_images(comparison.dataset)
    small = np.flatnonzero(counts < shots[-1])
    if not len(small):
        return []
    small = small[np.argsort(counts[small], kind="stable")]
    classes = shorten((f"'{comparison.dataset.classes[code]}' ({counts[code]})" for code in small), MOST_CLASSES)
    return [f"classes with fewer training images than {shots[-1]} are labelled wholly: {classes}"]


def note_left_out(comparison: Comparison, shots: Sequence[int]) -> list[str]:
    """Say which numbers of labelled images are left out, since no class has so many."""
    beyond = [str(each) for each in comparison.request.shots if each not in shots]
    if not beyond:
        return []
    most = int(count_training_images(comparison.dataset).max())
    verb = "is" if len(beyond) == 1 else "are"
    return [f"{', '.join(beyond)} {verb} left out: no class has more than {most} training images"]
