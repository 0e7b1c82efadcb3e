"""How a network is trained, and how far that has come."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

FINAL_FACTOR = 0.01
"""Share of the peak learning rate at the end: low enough to settle, and no epoch is for nothing, as with zero."""

FIRST_POSITION = 1e-3
"""Epochs that warm-up is ahead of its line: a rate of exactly zero would waste the first batch."""


@dataclass(frozen=True)
class TrainingSchedule:
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        Maximum number of epochs.
    patience : int
        Epochs without a better validation accuracy, or a lower loss at the same one, before training stops.
    seed : int
    warm_up : float
        Epochs in which learning rates rise from zero; then they fall along a cosine to `FINAL_FACTOR`.
    weight_decay : float
        Of AdamW (Loshchilov and Hutter, 2019, Decoupled Weight Decay Regularization).
    label_smoothing : float
        Share of the target that is spread over all classes (Szegedy et al., 2016, Rethinking the Inception
        Architecture for Computer Vision); in training only.
    keep_if_significant : bool
        Whether the best epoch is kept only if it beats the weights as they were at the start beyond chance: on few
        images, one of many epochs easily looks better.
    """

    epochs: int
    patience: int
    seed: int
    warm_up: float = 1.0
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1
    keep_if_significant: bool = False

    def lr_factor(self, position: float) -> float:
        """Give the share of the peak learning rate at a position in training.

        Linear warm-up, then half a cosine (Loshchilov and Hutter, 2017, SGDR).

        Parameters
        ----------
        position : float
            In epochs: 1.5 is the middle of the second one.
        """
        if position < self.warm_up < self.epochs:
            return (position + FIRST_POSITION) / self.warm_up
        share_done = min(1.0, position / self.epochs)
        return FINAL_FACTOR + (1 - FINAL_FACTOR) * (1 + math.cos(math.pi * share_done)) / 2


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
    first_correct, best_correct : list of bool
        Which images of the validation part were classified correctly then, and with the best weights.
    rejected_epoch : int
        The epoch that was best, but not significantly better than the weights at the start; 0 if there is none.
    best_score : float
        The share of what all errors would cost that is spared with the best weights; only where images are weighted.
    val_weights : list of float
        What an error on each image of the validation part costs; empty where images are not weighted.
    seconds : list of float
        What each epoch took.
    stopped : str or None
        Why training ended early, if something went wrong.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    best_accuracy: float = 0.0
    first_loss: float = math.inf
    first_accuracy: float = 0.0
    first_correct: list[bool] = field(default_factory=list)
    best_correct: list[bool] = field(default_factory=list)
    rejected_epoch: int = 0
    seconds: list[float] = field(default_factory=list)
    stopped: str | None = None
    best_score: float = 0.0
    val_weights: list[float] = field(default_factory=list)


EpochReport = Callable[[TrainingState, float, float], None]
"""Called after each epoch with the state, and loss and accuracy on the validation part."""

BatchReport = Callable[[int, int], None]
"""Called after each batch with the numbers of epoch and batch, both counted from 1."""
