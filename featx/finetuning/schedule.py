"""How a network is trained, and how far that has come."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrainingSchedule:
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        At most so many.
    patience : int
        Epochs without a better validation accuracy, or a lower loss at the same one, before training stops.
    seed : int
    warm_up : float
        Epochs in which learning rates rise from zero; then they fall along a cosine to a hundredth.
    weight_decay : float
        Of AdamW (Loshchilov and Hutter, 2019).
    smoothing : float
        Share of the target that is spread over all classes (Szegedy et al., 2016); in training only.
    keep_if_significant : bool
        Whether weights as they were at the start are kept unless the best epoch beats them beyond chance: few images
        easily prefer one of many epochs.
    """

    epochs: int
    patience: int
    seed: int
    warm_up: float = 1.0
    weight_decay: float = 1e-2
    smoothing: float = 0.1
    keep_if_significant: bool = False

    def factor(self, place: float) -> float:
        """Share of the learning rate at a place in training, in epochs."""
        if place < self.warm_up < self.epochs:
            return (place + 1e-3) / self.warm_up
        return 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, place / self.epochs))) / 2


@dataclass
class TrainingState:
    """How far training has come; what a checkpoint holds beside tensors.

    Attributes
    ----------
    epoch : int
        Epochs done.
    best_epoch : int
        The one whose weights are kept; 0 is before the first.
    best_loss, best_accuracy : float
        On the validation part, with these weights.
    first_loss, first_accuracy : float
        On the validation part, before the first epoch.
    first_right, best_right : list of bool
        Which images of the validation part were right then, and with the best weights.
    doubted : int
        The epoch that was best, but not by more than chance may give; 0 if there is none.
    seconds : list of float
        What each epoch took.
    stopped : str or None
        Why training ended before its time, if something went wrong.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    best_accuracy: float = 0.0
    first_loss: float = math.inf
    first_accuracy: float = 0.0
    first_right: list[bool] = field(default_factory=list)
    best_right: list[bool] = field(default_factory=list)
    doubted: int = 0
    seconds: list[float] = field(default_factory=list)
    stopped: str | None = None
