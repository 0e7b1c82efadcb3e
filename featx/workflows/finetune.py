"""Fine-tuning: a head is trained on the frozen base, then the stages from one on with it, and both are judged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from featx.evaluation.error_analysis import FitReport
from featx.finetuning.head_training import HeadMaker
from featx.finetuning.plan import plan
from featx.finetuning.run import Tuning
from featx.finetuning.schedule import TrainingState
from featx.finetuning.unfreeze import UnfreezePlan
from featx.requests import ExtractRequest, FinetuneRequest

log = logging.getLogger(__name__)

Report = Callable[[str, TrainingState, float, float], None]


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning did.

    Attributes
    ----------
    head, finetuned : FitReport
        Before and after the stages were unfrozen; the latter's model can be saved.
    progress_head, progress : TrainingState
        Of the two phases.
    skipped : dict of str to str
        Paths of images that could not be read any more, and the reasons.
    """

    head: FitReport
    finetuned: FitReport
    progress_head: TrainingState
    progress: TrainingState
    skipped: dict[str, str]

    @property
    def stopped(self) -> str | None:
        """Why training ended before its time, if something went wrong."""
        return self.progress_head.stopped or self.progress.stopped

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON: the fields of `fit`, and what belongs to fine-tuning."""
        return {
            **self.finetuned.to_dict(),
            "head_accuracy": self.head.result.test_accuracy,
            "head": self.head.to_dict(),
            "epochs": self.progress.epoch,
            "epochs_head": self.progress_head.epoch,
            "best_epoch": self.progress.best_epoch,
            "doubted_epoch": self.progress.doubted or None,
            "epoch_seconds": self.progress.seconds,
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped.items()],
            "stopped": self.stopped,
        }


def extractions(request: FinetuneRequest, division: UnfreezePlan) -> list[ExtractRequest]:
    """List the extractions whose features a fine-tuning needs: for the head, and of the cut if epochs run on those."""
    needed = [request.extraction(division.deepest, "avg")]
    if request.from_cache and division.cut is not None:
        needed.append(request.extraction(division.cut, "flat"))
    return needed


def finetune(request: FinetuneRequest, report: Report | None = None) -> Tuned:
    """Train a head on a frozen base, then the stages from one on; judge both, and write the model.

    Features of the frozen base must be in the store: `extractions` says which.

    Parameters
    ----------
    request : FinetuneRequest
    report : callable, optional
        Called after each epoch with the phase, the progress, and loss and accuracy on the validation part.

    Raises
    ------
    FeatxError
        If the request cannot be carried out, or features are not cached.
    """
    tuning = Tuning(request, plan(request))
    heads = HeadMaker(request, tuning.features, tuning.parts, tuning.device).make(
        partial(report, "head") if report else None
    )
    X = tuning.features.X[: request.test_views, tuning.parts.test].swapaxes(0, 1)
    before = tuning.judge("head", tuning.parts.test, X, heads.judged, heads.progress, heads.params)
    suffix, progress = tuning.train_suffix(heads, partial(report, "finetuned") if report else None)
    params = {"lr": request.lr, "epoch": float(progress.best_epoch)}
    after = tuning.judge("finetuned", *tuning.tuned_features(suffix), suffix.head, progress, params)
    after.model.save(request.out)
    for checkpoint in tuning.checkpoints:
        checkpoint.unlink(missing_ok=True)
    paths = tuning.table.manifest.listing.paths
    skipped = {paths[row]: reason for row, reason in sorted(tuning.images.skipped.items())}
    return Tuned(before, after, heads.progress, progress, skipped)
