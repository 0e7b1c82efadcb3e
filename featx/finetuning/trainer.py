"""Trains a network for some epochs: warm-up and decay, early stopping, best weights, and resuming exactly.

Everything drawn at random depends on the seed, the epoch and the batch, so an epoch that is repeated gives the same.
Lightning and skorch train as well, but neither goes on from a kill with the weights of an uninterrupted run, bit for
bit.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import compress
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from featx.errors import DataError
from featx.finetuning.checkpoint import Checkpoint
from featx.finetuning.schedule import BatchReport, EpochReport, TrainingSchedule, TrainingState

log = logging.getLogger(__name__)

ONE_SIDED = 1.645
"""Standard deviations that a normal variable exceeds in 5 % of cases."""


class Diverged(Exception):
    """The loss became NaN or infinite.

    Parameters
    ----------
    loss : float
    where : str
        In an epoch: "batch 2".
    """

    def __init__(self, loss: float, where: str) -> None:
        super().__init__(where)
        self.loss = loss
        self.where = where

    def describe(self, epoch: int) -> str:
        """Say what the loss became, and where in which epoch."""
        value = "NaN" if math.isnan(self.loss) else "infinite"
        return f"the loss became {value} in epoch {epoch}, {self.where}"


class TrainingData(Protocol):
    """Batches to train on and to validate on: inputs, (n,) int64 labels and, if images are weighted, (n,) weights."""

    @property
    def steps(self) -> int:
        """Batches of an epoch; one that loses images has fewer."""

    def train_batches(self, epoch: int) -> Iterable[tuple[Tensor, ...]]:
        """Give the batches of an epoch, counted from 0."""

    def eval_batches(self) -> Iterable[tuple[Tensor, ...]]:
        """Give the batches of the validation part."""


@dataclass(frozen=True)
class Validation:
    """What a network is worth on the validation part.

    Attributes
    ----------
    loss : float
        Mean cross-entropy, weighted where images are.
    accuracy : float
        Never weighted.
    correct : list of bool
        Which images are classified correctly.
    weights : list of float
        What an error on each of them costs; empty where images are not weighted.
    """

    loss: float
    accuracy: float
    correct: list[bool]
    weights: list[float] = field(default_factory=list)

    @property
    def score(self) -> float:
        """What the best epoch is chosen by: the accuracy, or the share of the weights that is classified correctly."""
        if not self.weights:
            return self.accuracy
        return sum(compress(self.weights, self.correct)) / sum(self.weights)

    def is_better(self, state: TrainingState) -> bool:
        """Whether it beats the best epoch so far: by accuracy, among equals by loss."""
        best_score = state.best_score if self.weights else state.best_accuracy
        return (self.score, -self.loss) > (best_score, -state.best_loss)


@dataclass
class Trainer:
    """Trains one network.

    Attributes
    ----------
    network : torch.nn.Module
        Maps a batch to (n, classes) scores; ends with its best weights.
    param_groups : list of dict
        What the optimizer takes; each with its peak learning rate as "lr".
    data : TrainingData
    schedule : TrainingSchedule
    device : torch.device
    checkpoint : Checkpoint or None
        Written after each epoch.
    after_batch : callable or None
        Called after each batch of training.
    """

    network: nn.Module
    param_groups: list[dict[str, Any]]
    data: TrainingData
    schedule: TrainingSchedule
    device: torch.device
    checkpoint: Checkpoint | None = None
    after_batch: BatchReport | None = None

    def __post_init__(self) -> None:
        # Some of cuDNN's algorithms add up in an order that changes from run to run.
        torch.backends.cudnn.deterministic = True
        self.optimizer = torch.optim.AdamW(self.param_groups, weight_decay=self.schedule.weight_decay)
        self.is_mixed = self.device.type == "cuda"
        has_bfloat16 = self.is_mixed and torch.cuda.is_bf16_supported(False)
        self.half = torch.bfloat16 if has_bfloat16 else torch.float16
        # Gradients in float16 vanish unless they are scaled up; bfloat16 has the range of float32.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.is_mixed and not has_bfloat16)
        self.state = TrainingState()
        self.first_weights = self.copy_weights()
        self.best_weights = self.first_weights

    def copy_weights(self) -> dict[str, Tensor]:
        """Copy the network's tensors."""
        # Tensors of a state_dict are those of the network: without a copy they would go on changing.
        return {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}

    def compute_scores(self, x: Tensor) -> Tensor:
        """Run the network, in mixed precision on a GPU: (n, classes) float32."""
        with torch.autocast(self.device.type, self.half, enabled=self.is_mixed):
            scores: Tensor = self.network(x.to(self.device))
        return scores.float()

    def evaluate(self) -> Validation:
        """Evaluate the network on the validation part.

        Raises
        ------
        Diverged
            If the loss is NaN or infinite.
        DataError
            If no image of the validation part can be read.
        """
        self.network.eval()
        loss = 0.0
        correct: list[bool] = []
        weights: list[float] = []
        with torch.inference_mode():
            for x, y, *batch_weights in self.data.eval_batches():
                scores = self.compute_scores(x)
                y = y.to(self.device)
                # Sums, since a mean of means would give the images of a small last batch more weight.
                if batch_weights:
                    losses = nn.functional.cross_entropy(scores, y, reduction="none")
                    loss += float(losses @ batch_weights[0].to(self.device))
                    weights += batch_weights[0].tolist()
                else:
                    loss += float(nn.functional.cross_entropy(scores, y, reduction="sum"))
                correct += (scores.argmax(1) == y).tolist()
        if not correct:
            raise DataError("no image of the validation part can be read any more")
        if not math.isfinite(loss):
            raise Diverged(loss, "on the validation part")
        return Validation(loss / (sum(weights) or len(correct)), sum(correct) / len(correct), correct, weights)

    def start_lr_schedule(self, epoch: int) -> LambdaLR:
        """Set the learning rates of an epoch's first batch; `step` sets those of the next one."""
        # One schedule an epoch, from the epoch's own place on: so the rates are the same after a resume, and after an
        # epoch that had fewer batches because images broke. The peak rates are kept in the param_groups.
        return LambdaLR(self.optimizer, lambda batch: self.schedule.lr_factor(epoch + batch / self.data.steps))

    def train_epoch(self, epoch: int) -> None:
        """Train for one epoch, counted from 0.

        Raises
        ------
        Diverged
            If the loss of a batch is NaN or infinite.
        """
        self.network.train()
        learning_rates = self.start_lr_schedule(epoch)
        for batch, (x, y, *weights) in enumerate(self.data.train_batches(epoch)):
            seed_dropout(self.schedule.seed, epoch, batch)
            loss = self.compute_loss(self.compute_scores(x), y.to(self.device), *weights)
            if not math.isfinite(loss.item()):
                raise Diverged(loss.item(), f"batch {batch + 1}")
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            learning_rates.step()
            if self.after_batch:
                self.after_batch(epoch + 1, batch + 1)

    def compute_loss(self, scores: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
        """Average the losses of a batch, each times its weight, if it has one; these have a mean of 1 over an epoch."""
        smoothing = self.schedule.label_smoothing
        if weights is None:
            return nn.functional.cross_entropy(scores, y, label_smoothing=smoothing)
        losses = nn.functional.cross_entropy(scores, y, label_smoothing=smoothing, reduction="none")
        # Divided by how many there are, not by their weights: else a batch of light images would count like others.
        return (losses * weights.to(self.device)).mean()

    def run(self, report: EpochReport | None = None) -> TrainingState:
        """Train until the epochs are over, nothing improves any more, or the loss became NaN.

        Parameters
        ----------
        report : callable, optional
            Called after each epoch with the state, and loss and accuracy on the validation part.

        Raises
        ------
        DataError
            If no image of the validation part can be read.
        """
        try:
            if not self.resume():
                self.start()
            while self.is_epoch_due():
                validation = self.run_epoch()
                self.save()
                if report:
                    report(self.state, validation.loss, validation.accuracy)
            self.reject_chance()
        except Diverged as error:
            self.reject_chance()
            description = error.describe(self.state.epoch + 1)
            self.state.stopped = (
                f"{description}: the weights of epoch {self.state.best_epoch} are kept; try a lower --lr"
            )
        self.restore_best()
        return self.state

    def run_blind(self, epochs: int) -> TrainingState:
        """Train for so many epochs with nothing to validate on; if the loss becomes NaN, the last epoch's weights stay.

        Parameters
        ----------
        epochs : int
            At most those of the schedule, whose learning rates are followed.
        """
        self.resume()
        try:
            while self.state.epoch < epochs:
                self.train_epoch(self.state.epoch)
                self.state.epoch += 1
                self.best_weights = self.copy_weights()
                self.save()
        except Diverged as error:
            self.state.stopped = f"{error.describe(self.state.epoch + 1)}; try a lower --lr"
        self.restore_best()
        return self.state

    def start(self) -> None:
        """Evaluate the weights as they are: they may stay the best ones.

        Raises
        ------
        Diverged
            If the loss is NaN or infinite.
        DataError
            If no image of the validation part can be read.
        """
        validation = self.evaluate()
        self.state.best_loss = self.state.first_loss = validation.loss
        self.state.best_accuracy = self.state.first_accuracy = validation.accuracy
        self.state.first_correct = validation.correct
        self.state.best_score = validation.score
        self.state.val_weights = validation.weights

    def is_epoch_due(self) -> bool:
        """Whether another epoch is due."""
        without_improvement = self.state.epoch - self.state.best_epoch
        return self.state.epoch < self.schedule.epochs and without_improvement < self.schedule.patience

    def run_epoch(self) -> Validation:
        """Train and evaluate one epoch, and keep its weights if they are the best.

        Raises
        ------
        Diverged
            If a loss is NaN or infinite.
        DataError
            If no image of the validation part can be read.
        """
        started = time.perf_counter()
        state = self.state
        self.train_epoch(state.epoch)
        validation = self.evaluate()
        state.epoch += 1
        if validation.is_better(state):
            state.best_epoch = state.epoch
            state.best_loss = validation.loss
            state.best_accuracy = validation.accuracy
            state.best_correct = validation.correct
            state.best_score = validation.score
            self.best_weights = self.copy_weights()
        state.seconds.append(round(time.perf_counter() - started, 3))
        return validation

    def reject_chance(self) -> None:
        """Go back to the first weights unless the best epoch is significantly better, where the schedule asks for it.

        A sign test at the one-sided level of 5 %: if both were equally good, each image that only one of them
        classifies correctly would be a tossed coin, for as much as the image weighs.
        """
        state = self.state
        if not self.schedule.keep_if_significant or not state.best_epoch:
            return
        if len(state.best_correct) != len(state.first_correct):
            # Images became unreadable meanwhile: the two cannot be compared, and the best weights stay.
            return
        gain = 0.0
        variance = 0.0
        weights = state.val_weights or [1.0] * len(state.best_correct)
        for best, first, weight in zip(state.best_correct, state.first_correct, weights, strict=True):
            gain += weight * (best - first)
            variance += (weight * (best - first)) ** 2
        if gain <= ONE_SIDED * math.sqrt(variance):
            state.rejected_epoch = state.best_epoch
            state.best_epoch = 0
            state.best_loss = state.first_loss
            state.best_accuracy = state.first_accuracy
            self.best_weights = self.first_weights

    def restore_best(self) -> None:
        """Put the best weights into the network."""
        self.network.load_state_dict(self.best_weights)
        self.network.eval()

    def save(self) -> None:
        """Write a checkpoint."""
        if self.checkpoint is None:
            return
        self.checkpoint.write(
            {
                "state": asdict(self.state),
                "best_weights": self.best_weights,
                "network": self.copy_weights(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
            }
        )

    def resume(self) -> bool:
        """Go on from a checkpoint; tell whether there was one of this very request."""
        if self.checkpoint is None:
            return False
        try:
            saved = self.checkpoint.read()
            if saved is None:
                return False
            state = TrainingState(**saved["state"])
            self.network.load_state_dict(saved["network"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.scaler.load_state_dict(saved["scaler"])
            self.best_weights = saved["best_weights"]
        except Exception as error:  # a damaged file raises whatever its damage leads to
            log.warning("'%s' is unreadable (%s): training starts anew", self.checkpoint.path, type(error).__name__)
            # Part of it may have been taken over before the damage showed.
            self.network.load_state_dict(self.first_weights)
            self.best_weights = self.first_weights
            return False
        self.state = state
        log.info("going on after epoch %d", state.epoch)
        return True


def seed_dropout(seed: int, epoch: int, batch: int) -> None:
    """Seed what dropout draws in one batch."""
    # Primes above any number of epochs and batches in practice, so that no two batches share a seed.
    torch.manual_seed((seed * 10_007 + epoch) * 100_003 + batch)
