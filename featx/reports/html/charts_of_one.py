"""Charts of one classifier: its probabilities, its threshold, and what more labels would bring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from featx.evaluation.curves import ReliabilityBin, ThresholdCurve
from featx.evaluation.few_labels.figures import Curve, FewLabels
from featx.reports.html.charts_of_rows import ASPECT, WIDTH
from featx.reports.html.figure import MARKS, Chart, Drawing, Palette, make_figure

SQUARE = 360.0
"""Width of a chart whose both axes go from 0 to 1, in points."""

MARGIN = 0.02
"""What such axes show beyond 0 and 1, so that no line lies on their edge."""


def chart_reliability(bins: Sequence[ReliabilityBin], error: float) -> Chart:
    """Make the reliability diagram, with the number of images of each bin below it.

    Parameters
    ----------
    error : float
        The expected calibration error.
    """
    return Chart(
        "reliability",
        "How far probabilities can be trusted",
        f"Share of right labels against stated probability, with 95 % intervals, and the images of each bin. "
        f"Expected calibration error {error:.3f}.",
        lambda palette: draw_reliability(bins, palette),
    )


def draw_reliability(bins: Sequence[ReliabilityBin], palette: Palette) -> Drawing:
    """Draw a reliability diagram."""
    figure, (upper, lower) = make_figure(
        SQUARE, SQUARE * 1.15, nrows=2, sharex=True, gridspec_kw={"height_ratios": (3.4, 1)}
    )
    upper.plot([0, 1], [0, 1], color=palette.muted, linewidth=1.0, linestyle="--")
    tips: dict[str, str] = {}
    at_bins = [each.confidence for each in bins]
    upper.plot(at_bins, [each.accuracy for each in bins], color=palette.accent, linewidth=1.0, alpha=0.4)
    for number, each in enumerate(bins):
        at = each.confidence
        upper.plot([at, at], [each.ci_low, each.ci_high], color=palette.accent, linewidth=1.2, alpha=0.45)
        (mark,) = upper.plot(
            [at], [each.accuracy], "o", markersize=6, color=palette.accent, markeredgecolor=palette.paper
        )
        gid = f"bin-{number}"
        mark.set_gid(gid)
        tips[gid] = (
            f"{each.images} images with probability {each.low:.2f} to {each.high:.2f} (mean {each.confidence:.3f}): "
            f"{each.accuracy:.3f} right ({each.ci_low:.3f} to {each.ci_high:.3f})"
        )
        width = each.high - each.low
        bar = lower.bar(each.low + width / 2, each.images, width * 0.9, color=palette.accent, alpha=0.55)
        bar[0].set_gid(f"count-{number}")
        tips[f"count-{number}"] = f"{each.images} images with probability {each.low:.2f} to {each.high:.2f}"
    show_unit_square(upper)
    upper.set_ylabel("share that is right")
    lower.set_ylabel("images")
    lower.set_xlabel("stated probability")
    return Drawing(figure, tips)


def show_unit_square(axes: Any) -> None:
    """Let both axes go from 0 to 1."""
    axes.set_xlim(-MARGIN, 1 + MARGIN)
    axes.set_ylim(-MARGIN, 1 + MARGIN)


def chart_roc(curve: ThresholdCurve, positive: str, area: float | None) -> Chart:
    """Make the ROC curve of two classes."""
    area_in_words = "" if area is None else f"Area under the curve {area:.3f}."
    return Chart(
        "roc",
        "ROC curve",
        f"Sensitivity against the share of false alarms for every threshold on the probability of '{positive}'. "
        f"{area_in_words}",
        lambda palette: draw_roc(curve, palette),
    )


def draw_roc(curve: ThresholdCurve, palette: Palette) -> Drawing:
    """Draw a ROC curve."""
    figure, axes = make_figure(SQUARE, SQUARE * 0.92)
    axes.plot([0, 1], [0, 1], color=palette.muted, linewidth=1.0, linestyle="--")
    alarms = [count / max(curve.negatives, 1) for count in curve.false_positives]
    found = [count / max(curve.positives, 1) for count in curve.true_positives]
    axes.plot(alarms, found, color=palette.accent, linewidth=1.6)
    show_unit_square(axes)
    axes.set_xlabel("false alarms (1 - specificity)")
    axes.set_ylabel("sensitivity")
    return Drawing(figure, axes=axes)


def chart_precision(curve: ThresholdCurve, positive: str, average: float | None) -> Chart:
    """Make the precision-recall curve of two classes."""
    average_in_words = "" if average is None else f"Average precision {average:.3f}."
    return Chart(
        "precision",
        "Precision-recall curve",
        f"Precision against sensitivity for every threshold on the probability of '{positive}'. {average_in_words}",
        lambda palette: draw_precision(curve, palette),
    )


def draw_precision(curve: ThresholdCurve, palette: Palette) -> Drawing:
    """Draw a precision-recall curve."""
    figure, axes = make_figure(SQUARE, SQUARE * 0.92)
    share = curve.positives / max(curve.positives + curve.negatives, 1)
    axes.axhline(share, color=palette.muted, linewidth=1.0, linestyle="--")
    found = []
    precision = []
    for right, false in zip(curve.true_positives, curve.false_positives, strict=True):
        if right + false:
            found.append(right / max(curve.positives, 1))
            precision.append(right / (right + false))
    axes.step(found, precision, where="pre", color=palette.accent, linewidth=1.6)
    show_unit_square(axes)
    axes.set_xlabel("sensitivity (recall)")
    axes.set_ylabel("precision")
    return Drawing(figure, axes=axes)


def chart_labels(few_labels: FewLabels) -> Chart:
    """Make the learning curves: accuracy against labelled images of each class."""
    last = few_labels.curves[0].points[-1]
    return Chart(
        "labels",
        "Accuracy against labelled images of each class",
        f"One line for each of {len(few_labels.curves)} configurations, each the mean of {few_labels.draws} draws with "
        f"its 95 % interval. With {last.shots} images of each class, {few_labels.curves[0].layer} "
        f"{few_labels.curves[0].clf} reaches {last.mean:.3f}; with all labels {few_labels.curves[0].whole:.3f}.",
        lambda palette: draw_labels(few_labels, palette),
    )


def draw_labels(few_labels: FewLabels, palette: Palette) -> Drawing:
    """Draw learning curves; the last mark of each is the whole training part."""
    figure, axes = make_figure(WIDTH, WIDTH * ASPECT)
    axes.set_xscale("log")
    shots = sorted({point.shots for curve in few_labels.curves for point in curve.points})
    tips: dict[str, str] = {}
    # The whole training part stands one step further right: it has as many of each class as there are.
    whole_at = shots[-1] * 2.0
    styles = dict.fromkeys((curve.base, curve.layer, curve.pooling) for curve in few_labels.curves)
    for number, name in enumerate(styles):
        styles[name] = ("-", "--", ":", "-.")[number % 4]
    for curve in few_labels.curves:
        draw_curve(axes, curve, whole_at, styles[curve.base, curve.layer, curve.pooling], palette)
        for point in curve.points:
            gid = f"labels-{len(tips)}"
            (mark,) = axes.plot(
                [point.shots],
                [point.mean],
                linestyle="none",
                marker=MARKS.get(curve.clf, "o"),
                markersize=6,
                color=palette.of_series(curve.clf),
                markeredgecolor=palette.paper,
            )
            mark.set_gid(gid)
            half = "" if point.half is None else f" ± {point.half:.3f}"
            tips[gid] = f"{curve.layer} {curve.clf}, {point.shots} of each class: {point.mean:.3f}{half}"
    axes.set_xticks([*shots, whole_at], [*map(str, shots), "all"])
    axes.minorticks_off()
    axes.set_xlabel("labelled images of each class")
    axes.set_ylabel("accuracy on held-out images")
    axes.legend(loc="lower right", fontsize=9.5)
    return Drawing(figure, tips)


def draw_curve(axes: Any, curve: Curve, whole_at: float, style: str | None, palette: Palette) -> None:
    """Draw the line of a learning curve and the band of its intervals."""
    colour = palette.of_series(curve.clf)
    at = [point.shots for point in curve.points]
    means = [point.mean for point in curve.points]
    axes.plot(
        [*at, whole_at], [*means, curve.whole], color=colour, linewidth=1.4, linestyle=style, label=name_curve(curve)
    )
    halves = [point.half or 0.0 for point in curve.points]
    low = [mean - half for mean, half in zip(means, halves, strict=True)]
    high = [mean + half for mean, half in zip(means, halves, strict=True)]
    axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot([whole_at], [curve.whole], linestyle="none", marker=MARKS.get(curve.clf, "o"), markersize=6, color=colour)


def name_curve(curve: Curve) -> str:
    """Name a learning curve."""
    pooling = "" if curve.pooling == "avg" else f" ({curve.pooling})"
    return f"{curve.layer}{pooling} {curve.clf}"
