"""Trains a network for some epochs: warm-up and decay, early stopping, best weights, and resuming exactly.

Everything drawn at random depends on the seed, the epoch and the batch, so an epoch that is repeated gives the same.
"""

from __future__ import annotations

import io
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from featx.errors import DataError
from featx.files import write_atomic
from featx.finetuning.schedule import TrainingSchedule, TrainingState

log = logging.getLogger(__name__)

ONE_SIDED = 1.645
"""Standard deviations that a normal variable exceeds in 5 % of cases."""

Batches = Iterable[tuple[Tensor, Tensor]]


class Diverged(Exception):
    """The loss is no number any more."""


@dataclass
class Trainer:
    """Trains one network.

    Attributes
    ----------
    network : torch.nn.Module
        Maps a batch to (n, classes) scores; ends with its best weights.
    groups : list of dict
        What the optimizer takes; each with its highest learning rate as "rate".
    batches : callable
        Epoch to batches, pairs of inputs and (n,) int64 labels, of `steps` batches or fewer.
    steps : int
    judged : callable
        Batches of the validation part.
    recipe : TrainingSchedule
    device : torch.device
    checkpoint : pathlib.Path or None
        Written after each epoch.
    facts : str
        What the checkpoint must have been made for.
    """

    network: nn.Module
    groups: list[dict[str, Any]]
    batches: Callable[[int], Batches]
    steps: int
    judged: Callable[[], Batches]
    recipe: TrainingSchedule
    device: torch.device
    checkpoint: Path | None = None
    facts: str = ""

    def __post_init__(self) -> None:
        torch.backends.cudnn.deterministic = True
        self.optimizer = torch.optim.AdamW(self.groups, weight_decay=self.recipe.weight_decay)
        is_gpu = self.device.type == "cuda"
        self.half = torch.bfloat16 if is_gpu and torch.cuda.is_bf16_supported(False) else torch.float16
        self.is_mixed = is_gpu
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=is_gpu and self.half is torch.float16)
        self.done = TrainingState()
        self.best = self.first = self.weights()
        self.right: list[bool] = []

    def weights(self) -> dict[str, Tensor]:
        """Copy the network's tensors."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}

    def scores(self, x: Tensor) -> Tensor:
        """Run the network, in mixed precision on a GPU: (n, classes) float32."""
        with torch.autocast(self.device.type, self.half, enabled=self.is_mixed):
            output: Tensor = self.network(x.to(self.device))
        return output.float()

    def judge(self) -> tuple[float, float]:
        """Give loss and accuracy on the validation part.

        Raises
        ------
        Diverged
            If the loss is no number.
        DataError
            If there is nothing to judge.
        """
        self.network.eval()
        loss, right = 0.0, []
        with torch.inference_mode():
            for x, y in self.judged():
                scores = self.scores(x)
                y = y.to(self.device)
                loss += float(nn.functional.cross_entropy(scores, y, reduction="sum"))
                right += (scores.argmax(1) == y).tolist()
        if not right:
            raise DataError("no image of the validation part can be read any more")
        if not math.isfinite(loss):
            raise Diverged("on the validation part")
        self.right = right
        return loss / len(right), sum(right) / len(right)

    def run_epoch(self, epoch: int) -> None:
        """Train for one epoch, counted from 0.

        Raises
        ------
        Diverged
            If the loss of a batch is no number.
        """
        self.network.train()
        for step, (x, y) in enumerate(self.batches(epoch)):
            factor = self.recipe.factor(epoch + step / self.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = group["rate"] * factor
            torch.manual_seed((self.recipe.seed * 10_007 + epoch) * 100_003 + step)  # dropout
            loss = nn.functional.cross_entropy(self.scores(x), y.to(self.device), label_smoothing=self.recipe.smoothing)
            if not math.isfinite(loss.item()):
                raise Diverged(f"in batch {step + 1}")
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def run(self, report: Callable[[TrainingState, float, float], None] | None = None) -> TrainingState:
        """Train until the epochs are over, nothing improves any more, or the loss is no number.

        Parameters
        ----------
        report : callable, optional
            Called after each epoch with the progress, and loss and accuracy on the validation part.
        """
        try:
            if not self.resume():
                self.done.best_loss, self.done.best_accuracy = self.judge()  # weights as they were count, too
                self.done.first_loss, self.done.first_accuracy = self.done.best_loss, self.done.best_accuracy
                self.done.first_right = self.right
            while self.goes_on():
                loss, accuracy = self.step()
                self.save()
                if report:
                    report(self.done, loss, accuracy)
            self.doubt()
        except Diverged as error:
            self.doubt()
            self.done.stopped = (
                f"the loss is no number any more in epoch {self.done.epoch + 1}, {error}: the weights of epoch "
                f"{self.done.best_epoch} are kept; try a lower --lr"
            )
        self.network.load_state_dict(self.best)
        self.network.eval()
        return self.done

    def run_blind(self, epochs: int) -> TrainingState:
        """Train for so many epochs of the recipe with nothing to judge by; if the loss fails, weights stay as they are.

        Parameters
        ----------
        epochs : int
            At most those of the recipe, whose learning rates are followed.
        """
        self.resume()
        try:
            while self.done.epoch < epochs:
                self.run_epoch(self.done.epoch)
                self.done.epoch += 1
                self.best = self.weights()
                self.save()
        except Diverged as error:
            self.done.stopped = (
                f"the loss is no number any more in epoch {self.done.epoch + 1}, {error}; try a lower --lr"
            )
        self.network.load_state_dict(self.best)
        self.network.eval()
        return self.done

    def goes_on(self) -> bool:
        """Whether another epoch is due."""
        done = self.done
        return done.epoch < self.recipe.epochs and done.epoch - done.best_epoch < self.recipe.patience

    def step(self) -> tuple[float, float]:
        """Train and judge one epoch, and keep its weights if they are the best: loss and accuracy.

        Raises
        ------
        Diverged
            If a loss is no number.
        """
        started, done = time.perf_counter(), self.done
        self.run_epoch(done.epoch)
        loss, accuracy = self.judge()
        done.epoch += 1
        if (accuracy, -loss) > (done.best_accuracy, -done.best_loss):
            done.best_loss, done.best_accuracy, done.best_epoch = loss, accuracy, done.epoch
            done.best_right = self.right
            self.best = self.weights()
        done.seconds.append(round(time.perf_counter() - started, 3))
        return loss, accuracy

    def doubt(self) -> None:
        """Go back to the first weights if the best ones are right on hardly more images than chance would have it.

        A sign test at the one-sided level of 5 %: images that only one of both is right on would be tossed coins.
        Images that became unreadable meanwhile make the two incomparable; then the best weights stay.
        """
        done = self.done
        if not self.recipe.keep_if_significant or not done.best_epoch or len(done.best_right) != len(done.first_right):
            return
        gained = [int(best) - int(first) for best, first in zip(done.best_right, done.first_right, strict=True)]
        if sum(gained) <= ONE_SIDED * math.sqrt(sum(map(abs, gained))):
            done.doubted, done.best_epoch, self.best = done.best_epoch, 0, self.first
            done.best_loss, done.best_accuracy = done.first_loss, done.first_accuracy

    def save(self) -> None:
        """Write a checkpoint, atomically."""
        if self.checkpoint is None:
            return
        state = {"facts": self.facts, "done": asdict(self.done), "best": self.best, "network": self.weights()}
        state |= {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}
        file = io.BytesIO()
        torch.save(state, file)
        write_atomic(self.checkpoint, file.getvalue())

    def resume(self) -> bool:
        """Go on from a checkpoint; tell whether there was one of this very request."""
        if self.checkpoint is None or not self.checkpoint.is_file():
            return False
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            if state["facts"] != self.facts:
                log.warning("'%s' is of another request: training starts anew", self.checkpoint)
                return False
            done = TrainingState(**state["done"])
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
        except Exception as error:  # a damaged file raises whatever its damage leads to
            log.warning("'%s' is unreadable (%s): training starts anew", self.checkpoint, type(error).__name__)
            return False
        self.done, self.best = done, state["best"]
        log.info("going on after epoch %d", done.epoch)
        return True
