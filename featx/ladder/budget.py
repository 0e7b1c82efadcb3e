"""The budget of time: which steps are begun, decided once and remembered.

A clock makes decisions that no seed makes again. So what was decided is written beside the results, and the same
request on the same cache follows it: a run that was killed goes on, and a run that is repeated ends alike, whatever the
clock says. A run counts only the seconds that it takes itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from featx.evaluation.records import list_records, load_record, save_record
from featx.ladder.kept import KeptStep, KeptSteps
from featx.storage.paths import CachePath

LADDER = "auto"
"""Kind of the record of what was decided."""


def has_climbed(cache: CachePath, rows: str, base: str) -> bool:
    """Whether a ladder was climbed to its end on these images with this base, whatever else was asked for.

    Parameters
    ----------
    cache : pathlib.Path
    rows : str
        Digest of the data set.
    base : str
        Name of the base: its weights may be written in several ways.
    """
    for stated, kept in list_records(cache, LADDER, KeptSteps):
        names = [each.get("name") for each in stated.get("bases", ()) if isinstance(each, dict)]
        begun = [step for step in kept.steps.values() if step.is_begun]
        # A run that was stopped is worth going on with.
        is_done = bool(begun) and all(step.seconds is not None for step in begun)
        if is_done and stated.get("rows") == rows and base in names:
            return True
    return False


class Budget:
    """Decides which steps are begun.

    Parameters
    ----------
    seconds : float
        That the search may take.
    clock : callable
        Gives seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds = seconds
        self.clock = clock
        self.started = clock()
        self.steps: dict[str, KeptStep] = {}
        self._begun_at: dict[str, float] = {}
        self._home: tuple[CachePath, dict[str, Any]] | None = None

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (self.clock() - self.started)

    def remember(self, cache: CachePath, stated: Mapping[str, Any]) -> None:
        """Follow what an earlier run of the same request decided, and keep what this one decides.

        Parameters
        ----------
        cache : pathlib.Path
        stated : mapping
            Everything that makes a request the same one.
        """
        self._home = (cache, dict(stated))
        kept = load_record(cache, LADDER, stated, KeptSteps)
        if kept is not None:
            self.steps = {**self.steps, **kept.steps}
        self._save()

    def begin(self, name: str, predicted: float | None) -> bool:
        """Decide whether a step is begun, unless that was decided before.

        Parameters
        ----------
        name : str
        predicted : float or None
            Seconds that it will take; None: it is begun whatever it takes.
        """
        if name not in self.steps:
            is_begun = predicted is None or predicted <= self.left
            rounded = None if predicted is None else round(predicted, 1)
            self.steps[name] = KeptStep(is_begun, rounded, round(self.left, 1))
            self._save()
        self._begun_at[name] = self.clock()
        return self.steps[name].is_begun

    def end(self, name: str) -> None:
        """Note what a step took, unless an earlier run has."""
        step = self.steps[name]
        if step.seconds is None:
            seconds = round(self.clock() - self._begun_at[name], 1)
            self.steps[name] = KeptStep(step.is_begun, step.predicted, step.left, seconds)
            self._save()

    def _save(self) -> None:
        if self._home is not None:
            cache, stated = self._home
            save_record(cache, LADDER, stated, KeptSteps(self.steps))
