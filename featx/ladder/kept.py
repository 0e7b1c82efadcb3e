"""What records hold: schemas that everything is checked by when it is read, since a cache may come from anybody."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from featx.selection.trials import Trial

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]


class KeptTrial(Struct, frozen=True, forbid_unknown_fields=True):
    """A `Trial`, as a record states it."""

    params: dict[str, float]
    accuracies: Annotated[list[Share], Meta(min_length=1)]
    figures: list[Annotated[float, Meta(ge=-1e9, le=1e9)] | None] | None
    folds: Annotated[int, Meta(ge=1)]
    seconds: Seconds

    def __post_init__(self) -> None:
        if self.figures is not None and len(self.figures) != len(self.accuracies):
            raise ValueError("there is not one figure a fold")

    def to_trial(self, clf: str) -> Trial:
        """Make a trial of a classifier."""
        figures = None
        if self.figures is not None:
            figures = np.array([np.nan if figure is None else figure for figure in self.figures], np.float64)
        return Trial(clf, self.params, np.array(self.accuracies, np.float64), figures, self.folds, self.seconds)


def keep_trial(trial: Trial) -> KeptTrial:
    """Write a trial as a record states it."""
    figures = None
    if trial.figures is not None:
        figures = [None if np.isnan(figure) else figure for figure in trial.figures.tolist()]
    return KeptTrial(trial.params, trial.accuracies.tolist(), figures, trial.folds, round(trial.seconds, 3))


class KeptShortlist(Struct, frozen=True, forbid_unknown_fields=True):
    """The layer sets that a forward selection went through."""

    sets: Annotated[list[Annotated[list[str], Meta(min_length=1)]], Meta(min_length=1)]


class KeptStep(Struct, frozen=True, forbid_unknown_fields=True):
    """What was decided of one step of a ladder.

    Attributes
    ----------
    is_begun : bool
    predicted : float or None
        Seconds that it was predicted to take; None where it is begun whatever it takes.
    left : float
        Seconds of the budget that were left then.
    seconds : float or None
        What it took; None until it is done.
    """

    is_begun: bool
    predicted: Seconds | None
    left: float
    seconds: Seconds | None = None


class KeptSteps(Struct, frozen=True, forbid_unknown_fields=True):
    """What was decided of the steps of a ladder, by name."""

    steps: dict[str, KeptStep]
