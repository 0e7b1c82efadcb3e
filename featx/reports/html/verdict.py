"""The first part of the page: what came out, how sure that is, and what would help next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np

from featx.data.listing import find_held_out
from featx.evaluation.metrics import SIGNIFICANCE, mcnemar
from featx.evaluation.result import TUNED, best
from featx.evaluation.table_row import TableRow
from featx.reports.html.charts_of_rows import list_bases, name_row
from featx.reports.html.material import Material, Section
from featx.reports.html.sections_of_images import count_confusions
from featx.reports.html.sections_of_looking import write_inspection
from featx.reports.ladder import word_gain
from featx.reports.table_notes import is_tied

MOST_STEPS = 3
"""Suggestions: more would not be followed."""

LARGE_SHARE = 0.25
"""Share of all mistakes from which on a pair of classes is worth a look of its own."""

FEW_MISTAKES = 8
"""Of fewer, no share is worth a sentence."""

RISING = 0.005
"""What the last step of a learning curve must bring to promise more, in accuracy."""

MUCH_CHEAPER = 0.7
"""Share of the best row's cost up to which a row that is tied with it is called cheaper."""

FEW_IMAGES = 1000
"""With fewer images and no split of its own, a data set gains by nested cross-validation."""

Step = dict[str, str | None]
"""A suggestion: `text`, and the `command` that does it, if there is one."""


def describe_verdict(material: Material) -> Section:
    """Write the verdict: three sentences, the figures in them, and the next steps."""
    steps = [*list_steps(material)][:MOST_STEPS]
    return {
        "sentences": [name_best(material), state_accuracy(material), name_tried(material, steps)],
        "row": material.subject.row.to_dict(),
        "dummy_accuracy": material.dummy_accuracy,
        "steps": steps,
        "ladder": [{**asdict(row), "gain_in_words": word_gain(row)} for row in material.ladder],
        "procedure": material.nested.to_dict()["procedure"] if material.nested else None,
    }


def name_best(material: Material) -> str:
    """Say which configuration is shown, and why that one."""
    row = material.subject.row
    views = f", {row.views} views of each image" if row.views > 1 else ""
    pooling = "" if row.clf in TUNED else f" ({row.pooling})"
    where = f"{row.clf} on {row.layer}{pooling} of {row.base}{views}"
    return f"{material.subject.origin}: {where}."


def state_accuracy(material: Material) -> str:
    """Say how well it labels images that nothing was chosen on."""
    row = material.subject.row
    sentence = (
        f"It labels {row.test_accuracy:.3f} of the {row.n_test} held-out images correctly (95 % interval "
        f"{row.ci_low:.3f} to {row.ci_high:.3f}); always naming the most frequent class would reach "
        f"{material.dummy_accuracy:.3f}."
    )
    if material.nested is None:
        return sentence
    choice = material.nested.procedure
    return (
        f"Judged as a whole by nested cross-validation of {choice.n_test} images, the choice reaches "
        f"{choice.test_accuracy:.3f} (95 % interval {choice.ci_low:.3f} to {choice.ci_high:.3f}). {sentence}"
    )


def name_tried(material: Material, steps: Sequence[Step]) -> str:
    """Say what was tried, what does as well, and what would help next."""
    # The dummy is what others are held against.
    rows = [row for row in material.rows if row.clf != "dummy"] or material.rows
    layers = len({(row.base, row.layer) for row in rows})
    classifiers = len({row.clf for row in rows})
    tried = (
        f"{count(len(rows), 'configuration')} of {count(layers, 'cut')} and {count(classifiers, 'classifier')} "
        f"{'was' if len(rows) == 1 else 'were'} tried"
    )
    if material.ladder:
        candidates = sum(step.tried for step in material.ladder)
        steps_taken = sum(step.tried > 0 for step in material.ladder)
        steps_in_words = count(steps_taken, "step")
        tried = f"{candidates} candidates were tried by cross-validation in {steps_in_words} (the ladder below)"
    bases = list_bases(rows)
    if len(bases) > 1:
        tried += f" on {len(bases)} bases"
    tied = [row for row in rows if row is not material.subject.row and is_tied(row) and row is not best(rows)]
    if tied:
        verb = "cannot be told apart from the best"
        tried += f", of which {len(tied)} {verb}"
        cheapest = find_cheaper(material.subject.row, tied)
        if cheapest is not None:
            tried += f" (the cheapest: {name_row(cheapest, len(bases))}, {cheapest.ms_per_image:.2f} ms/image)"
    if not steps or steps[0]["text"] is None:
        return f"{tried}."
    return f"{tried}. {steps[0]['text']}"


def count(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def find_cheaper(row: TableRow, tied: Sequence[TableRow]) -> TableRow | None:
    """Find the cheapest row that is tied with one, if it costs clearly less."""
    costs = [other for other in tied if other.ms_per_image is not None]
    if row.ms_per_image is None or not costs:
        return None
    cheapest = min(costs, key=lambda other: other.ms_per_image or 0.0)
    return cheapest if (cheapest.ms_per_image or 0.0) <= MUCH_CHEAPER * row.ms_per_image else None


def list_steps(material: Material) -> Iterator[Step]:
    """Suggest what would help next, the most helpful first."""
    yield from suggest_over_chance(material)
    yield from suggest_clean_data(material)
    yield from suggest_labels(material)
    yield from suggest_pair(material)
    yield from suggest_layers(material)
    yield from suggest_nested(material)
    yield from suggest_shots(material)


def suggest_over_chance(material: Material) -> Iterator[Step]:
    """Say that the features do not tell the classes apart, where they do not."""
    predictions = material.predictions
    is_right = predictions.classes == material.truth
    majority = np.bincount(material.dataset.y[material.dataset.train]).argmax()
    is_majority = material.truth == majority
    if is_right.mean() > is_majority.mean() and mcnemar(is_right, is_majority) < SIGNIFICANCE:
        return
    yield {
        "text": "It is not better than naming the most frequent class beyond chance: look at labels and pictures "
        "first, then try another base.",
        "command": None,
    }


def suggest_clean_data(material: Material) -> Iterator[Step]:
    """Point to copies on both sides of the split, to warned shortcuts, and to labels that look wrong."""
    found = material.looked.inspection
    if found is None:
        return
    leaks = sum(group["is_leak"] for group in found["near_duplicates"])
    if leaks:
        groups = "1 group of near-copies lies" if leaks == 1 else f"{leaks} groups of near-copies lie"
        yield {
            "text": f"The accuracy may flatter: {groups} on both sides of the split (part 6). Take them apart first.",
            "command": write_inspection(material),
        }
    warned = ", ".join(each["fact"] for each in found["shortcuts"] if each["is_warned"])
    if warned:
        yield {
            "text": f"The class can be told from files alone, without looking at pictures ({warned}; part 6): make "
            "sure that this is not what was learned.",
            "command": None,
        }
    suspects = len(found["suspect_labels"])
    if suspects:
        yield {
            "text": f"Look at {count(suspects, 'label')} that other pictures contradict (part 6): wrong labels cost "
            "accuracy, and hide it.",
            "command": None,
        }


def suggest_labels(material: Material) -> Iterator[Step]:
    """Say that more labels would help, where the learning curve still rises."""
    row = material.subject.row
    for curve in material.few_labels.curves if material.few_labels else ():
        if (curve.base, curve.layer, curve.clf) != (row.base, row.layer, row.clf) or len(curve.points) < 2:
            continue
        before, last = curve.points[-2:]
        gain = curve.whole - last.mean
        if gain > max(RISING, last.half or 0.0):
            yield {
                "text": f"More labels may help: from {last.shots} images of each class to all of them, accuracy "
                f"rises by {100 * gain:.1f} points (from {before.shots} to {last.shots}: "
                f"{100 * (last.mean - before.mean):.1f}).",
                "command": None,
            }


def suggest_pair(material: Material) -> Iterator[Step]:
    """Point to a pair of classes that makes up much of the mistakes, where there are more than two."""
    counts = count_confusions(material)
    both_ways = counts + counts.T
    np.fill_diagonal(both_ways, 0)
    wrong = int(both_ways.sum()) // 2
    if len(counts) < 3 or wrong < FEW_MISTAKES:
        return
    first, second = divmod(int(both_ways.argmax()), len(counts))
    share = both_ways[first, second] / wrong
    if share >= LARGE_SHARE:
        names = material.dataset.classes
        yield {
            "text": f"Look at '{names[first]}' and '{names[second]}': {100 * share:.0f} % of the {wrong} mistakes lie "
            "between them.",
            "command": None,
        }


def suggest_layers(material: Material) -> Iterator[Step]:
    """Suggest mixes of layers and several views, where none were tried."""
    rows = material.rows
    if material.ladder or material.has_climbed or any("+" in row.layer or row.views > 1 for row in rows):
        return
    command = material.repeatable.command("auto", "--out", "model.featx")
    yield {
        "text": "Mixes of layers, other poolings and six views often gain more: featx auto tries them.",
        "command": command,
    }


def suggest_nested(material: Material) -> Iterator[Step]:
    """Suggest nested cross-validation, where one held-out part of few images says little."""
    dataset = material.dataset
    has_own = find_held_out(dataset.listing.splits) is not None
    if material.nested is not None or has_own or len(dataset.y) >= FEW_IMAGES:
        return
    row = material.subject.row
    command = material.repeatable.command("compare", "--nested", "5")
    yield {
        "text": f"Judge every image once: the interval of {row.n_test} held-out images is "
        f"±{50 * (row.ci_high - row.ci_low):.1f} points wide, and nested cross-validation narrows it.",
        "command": command,
    }


def suggest_shots(material: Material) -> Iterator[Step]:
    """Suggest learning curves, where there are none."""
    if material.few_labels is not None:
        return
    command = material.repeatable.command("compare", "--shots", "1,2,5,10,20")
    yield {
        "text": "See whether more labels would help: trace accuracy against labelled images of each class.",
        "command": command,
    }
