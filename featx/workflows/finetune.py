"""Fine-tuning: a head is trained on the frozen base, then the last stages together with it; both are evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from featx.data.listing import FailedImage
from featx.evaluation.fit_report import FitReport
from featx.finetuning.head_training import HeadMaker
from featx.finetuning.plan import plan
from featx.finetuning.run import FinetuningRun
from featx.finetuning.schedule import BatchReport, TrainingState
from featx.finetuning.unfreeze import UnfreezePlan
from featx.requests import ExtractRequest, FinetuneRequest

PhaseReport = Callable[[str, TrainingState, float, float], None]
"""Called after each epoch with the phase ("head" or "finetuned"), its state, and loss and accuracy in validation."""


@dataclass(frozen=True)
class FinetuneReport:
    """What fine-tuning gave.

    Attributes
    ----------
    head, finetuned : FitReport
        Before and after the stages were unfrozen, on the same held-out images.
    progress_head, progress : TrainingState
        Of the two phases.
    skipped : dict of str to str
        Paths of images that could not be read any more, and the reasons.
    failed : list of FailedImage
        Images that failed when features were extracted for this; named by whoever extracted.
    """

    head: FitReport
    finetuned: FitReport
    progress_head: TrainingState
    progress: TrainingState
    skipped: dict[str, str]
    failed: list[FailedImage] = field(default_factory=list)

    @property
    def stopped(self) -> str | None:
        """Why training ended early, if something went wrong."""
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
            "doubted_epoch": self.progress.rejected_epoch or None,
            "epoch_seconds": self.progress.seconds,
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped.items()],
            "failed": [{"path": image.path, "reason": image.reason} for image in self.failed],
            "stopped": self.stopped,
        }


def extractions(request: FinetuneRequest, unfreeze_plan: UnfreezePlan) -> list[ExtractRequest]:
    """List the extractions whose features a fine-tuning needs: for the head, and of the cut if epochs run on those."""
    needed = [request.extraction(unfreeze_plan.deepest, "avg")]
    if request.from_cache and unfreeze_plan.cut is not None:
        needed.append(request.extraction(unfreeze_plan.cut, "flat"))
    return needed


def finetune_base(
    request: FinetuneRequest,
    report: PhaseReport | None = None,
    after_batch: BatchReport | None = None,
    unfreeze_plan: UnfreezePlan | None = None,
) -> FinetuneReport:
    """Train a head on a frozen base, then the last stages with it; evaluate both, and write the model.

    Features of the frozen base must be in the store: `extractions` says which.

    Parameters
    ----------
    request : FinetuneRequest
    report : callable, optional
        Called after each epoch with the phase, its state, and loss and accuracy on the validation part.
    after_batch : callable, optional
        Called after each batch of the second phase with the numbers of epoch and batch, counted from 1.
    unfreeze_plan : UnfreezePlan, optional
        What `plan` gave for this request, where the base is loaded already.

    Raises
    ------
    MissingFeatures
        If features are not cached; the error holds the request that would compute them.
    FeatxError
        If the request cannot be carried out.
    """
    run = FinetuningRun(request, unfreeze_plan or plan(request))
    maker = HeadMaker(request, run.features, run.parts, run.device)
    heads = maker.make(partial(report, "head") if report else None)
    before = run.evaluate("head", run.parts.test, run.read_head_features(), heads.final, heads.progress, heads.params)

    part, progress = run.train_part(heads, partial(report, "finetuned") if report else None, after_batch)
    params = {"lr": request.lr, "epoch": float(progress.best_epoch)}
    rows, features = run.compute_features(part)
    after = run.evaluate("finetuned", rows, features, part.head, progress, params)

    after.model.save(request.out)
    # Only now: an interruption before would have to train again.
    for checkpoint in run.checkpoints:
        checkpoint.unlink(missing_ok=True)
    paths = run.dataset.listing.paths
    skipped = {paths[row]: reason for row, reason in sorted(run.images.skipped.items())}
    return FinetuneReport(before, after, heads.progress, progress, skipped)
