"""What a climb gives: the ladder with what each step cost and brought, the estimate, the model, the next commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from featx.classifiers.figures import Criterion
from featx.ladder.candidates import Candidate
from featx.ladder.climb import CLOSING, Rung, Step
from featx.ladder.kept import KeptStep
from featx.ladder.procedure import ProcedureEstimate
from featx.timing import format_seconds

if TYPE_CHECKING:
    from featx.data.listing import FailedImage
    from featx.evaluation.fit_report import FitReport
    from featx.models.model import Model
    from featx.requests import SelectedFigure

STEPS_IN_WORDS = {
    "cuts": "best single layer",
    "layers": "several layers",
    "poolings": "other poolings",
    "views": "six views",
    "long views": "six views, pyramid",
    "classifiers": "MLP",
    CLOSING: "best of all",
}
"""Kind of a step: how a ladder calls it."""


@dataclass(frozen=True)
class LadderRow:
    """One step of the ladder, as it is shown.

    Attributes
    ----------
    step : str
        In words.
    base : str
    candidate : str or None
        The best candidate of the step, in words; None where it was not tried.
    figure : float or None
        What it reached in cross-validation: accuracy, or the figure of `--select`.
    before : float or None
        What it is compared with reached on the same folds, which may be fewer than stand in that one's own row: several
        views are cross-validated fewer times. None for the first step of a base.
    gain, standard_error : float or None
        In points, of `figure` on `before`; None for the first step of a base.
    seconds : float or None
        What the step took when it was first done.
    tried : int
        Candidates that were measured.
    is_kept : bool
    remark : str
        Why it was kept or not, or not tried.
    """

    step: str
    base: str
    candidate: str | None
    figure: float | None
    before: float | None
    gain: float | None
    standard_error: float | None
    seconds: float | None
    tried: int
    is_kept: bool
    remark: str


def show_rung(rung: Rung, seconds: float | None, bases: Sequence[str], select: SelectedFigure | None) -> LadderRow:
    """Make the row of a step that was taken.

    Parameters
    ----------
    seconds : float or None
        What it took; None where nothing was measured.
    bases : sequence of str
        Names of the bases.
    select : str or None
        The figure that candidates are compared by, where one was asked for.
    """
    sign = 1 if select is None else Criterion(select).sign
    gain = rung.gain
    figure, before = rung.rates
    return LadderRow(
        STEPS_IN_WORDS[rung.step.kind],
        bases[rung.step.base],
        rung.best.candidate.describe(),
        round(sign * figure, 6),
        None if before is None else round(sign * before, 6),
        None if gain is None else round(gain.points, 4),
        None if gain is None else round(gain.standard_error, 4),
        seconds,
        rung.tried,
        rung.is_kept,
        word_outcome(rung),
    )


def word_outcome(rung: Rung) -> str:
    """Say why a step was kept or not."""
    if rung.gain is None:
        return f"the best of {rung.tried}"
    if rung.step.kind == CLOSING:
        return f"kept: it leads the {rung.tried} measured"
    if rung.is_kept:
        return "kept"
    return "not kept: no gain" if rung.gain.points <= 0 else "not kept: within noise"


def show_skipped(step: Step, kept: KeptStep, bases: Sequence[str], reason: str = "") -> LadderRow:
    """Make the row of a step that was not begun.

    Parameters
    ----------
    reason : str
        Why, if not for the budget.
    """
    if not reason:
        needed = format_seconds(kept.predicted or 0.0)
        left = format_seconds(kept.left) if kept.left > 0 else "nothing"
        reason = f"about {needed}, budget left {left}"
    words = STEPS_IN_WORDS[step.kind]
    return LadderRow(words, bases[step.base], None, None, None, None, None, None, 0, False, f"not tried: {reason}")


@dataclass(frozen=True)
class AutoReport:
    """What `auto` gives.

    Attributes
    ----------
    ladder : list of LadderRow
    chosen : Candidate
    base : str
        Name of the chosen base.
    fit : FitReport
        The final fit: figures of the held-out part, and the model.
    estimate : ProcedureEstimate or None
        How good the choice itself is; None where it was not estimated.
    estimate_remark : str
        Why there is none, where one might be expected.
    bases : list of str
    select : str or None
        The figure that candidates were compared by, where one was asked for.
    measured_on : str
        Which images candidates were measured on, in words.
    whole : bool
        Whether the model was trained on all images.
    commands : list of str
        Those that make the same model by hand.
    failed : list of FailedImage
        Images that cannot be read; they were left out.
    seconds : float
        What this run took.
    """

    ladder: list[LadderRow]
    chosen: Candidate
    base: str
    fit: FitReport
    estimate: ProcedureEstimate | None
    estimate_remark: str
    bases: list[str]
    select: SelectedFigure | None
    measured_on: str
    whole: bool
    commands: list[str]
    failed: list[FailedImage]
    seconds: float

    @property
    def model(self) -> Model:
        """The model: labels new images, and can be saved."""
        model: Model = self.fit.model
        return model

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            "ladder": [asdict(row) for row in self.ladder],
            "chosen": self.chosen.to_dict(self.bases),
            "result": self.fit.to_dict(),
            "estimate": None if self.estimate is None else self.estimate.to_dict(),
            "estimate_remark": self.estimate_remark,
            "select": self.select,
            "measured_on": self.measured_on,
            "whole": self.whole,
            "commands": self.commands,
            "failed": [asdict(image) for image in self.failed],
            "seconds": self.seconds,
        }
