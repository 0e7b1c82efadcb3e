from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from featx.errors import DataError
from featx.finetuning.batches import PooledBatches
from featx.finetuning.checkpoint import Checkpoint
from featx.finetuning.schedule import TrainingSchedule, TrainingState
from featx.finetuning.trainer import Trainer, TrainingData

CPU = torch.device("cpu")


def clouds(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(60) % 3
    return torch.eye(3)[y] * 2 + torch.randn(60, 3, generator=generator), y


def make_data() -> PooledBatches:
    return PooledBatches(*clouds(0), *clouds(1), batch_size=16, seed=0)


def make_trainer(
    schedule: TrainingSchedule,
    checkpoint: Path | None = None,
    lr: float = 0.05,
    data: TrainingData | None = None,
    **options: Any,
) -> Trainer:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
    groups = [{"params": list(network.parameters()), "lr": lr}]
    resumes_from = Checkpoint(checkpoint, "facts") if checkpoint else None
    return Trainer(network, groups, data or make_data(), schedule, CPU, resumes_from, **options)


def test_the_best_weights_are_kept_and_training_stops_early() -> None:
    seen: list[tuple[float, float]] = []
    trainer = make_trainer(TrainingSchedule(60, 4, 7), lr=0.3)
    state = trainer.run(lambda state, loss, accuracy: seen.append((accuracy, -loss)))
    assert (state.best_accuracy, -state.best_loss) == max(seen)
    assert state.best_epoch == seen.index(max(seen)) + 1
    assert state.epoch == state.best_epoch + 4 < 60
    validation = trainer.evaluate()
    assert (validation.loss, validation.accuracy) == pytest.approx((state.best_loss, state.best_accuracy))
    assert state.best_accuracy > 0.6


def test_every_epoch_can_be_the_last_one_before_a_kill(tmp_path: Path) -> None:
    schedule = TrainingSchedule(5, 9, 7)
    whole = make_trainer(schedule)
    expected = whole.run()
    for _ in range(5):  # one epoch a process
        trainer = make_trainer(schedule, tmp_path / "checkpoint")
        if not trainer.resume():
            trainer.start()
        trainer.run_epoch()
        trainer.save()
    last = make_trainer(schedule, tmp_path / "checkpoint")
    state = last.run()
    assert (state.epoch, state.best_epoch, state.best_loss) == (5, expected.best_epoch, expected.best_loss)
    for resumed, uninterrupted in zip(last.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(resumed, uninterrupted)


def test_each_batch_has_the_rate_of_its_place_also_after_an_epoch_that_lost_batches() -> None:
    schedule = TrainingSchedule(3, 9, 7)
    rates: list[float] = []

    @dataclass(frozen=True)
    class LosesBatches(PooledBatches):
        def train_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            batches = list(super().train_batches(epoch))
            for batch in batches[: 2 if epoch == 0 else len(batches)]:
                rates.append(trainer.optimizer.param_groups[0]["lr"])
                yield batch

    data = LosesBatches(*clouds(0), *clouds(1), batch_size=16, seed=0)
    trainer = make_trainer(schedule, data=data)
    trainer.run()
    places = [0, 1 / 4, *(1 + step / 4 for step in range(4)), *(2 + step / 4 for step in range(4))]
    assert rates == [0.05 * schedule.lr_factor(place) for place in places]


def test_no_validation_image_left_is_an_error() -> None:
    empty = replace(make_data(), X_val=torch.empty(0, 3), y_val=torch.empty(0, dtype=torch.int64))
    with pytest.raises(DataError, match="no image of the validation part"):
        make_trainer(TrainingSchedule(2, 2, 0), data=empty).run()


@dataclass(frozen=True)
class Poisoned(PooledBatches):
    """Data whose second batch of the second epoch holds a value that no loss survives."""

    value: float = math.nan

    def train_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for number, (x, y) in enumerate(super().train_batches(epoch)):
            yield (x * self.value if (epoch, number) == (1, 1) else x), y


@pytest.mark.parametrize(("value", "word"), [(math.nan, "NaN"), (math.inf, "(NaN|infinite)")])
def test_a_loss_that_became_nan_stops_training_with_the_best_weights(value: float, word: str) -> None:
    after_first: list[dict[str, Tensor]] = []
    data = Poisoned(*clouds(0), *clouds(1), batch_size=16, seed=0, value=value)
    trainer = make_trainer(TrainingSchedule(3, 9, 7), data=data)
    state = trainer.run(lambda *_: after_first.append(trainer.copy_weights()))
    assert state.stopped is not None
    message = rf"the loss became {word} in epoch 2, batch 2: the weights of epoch 1 are kept; try a lower --lr"
    assert re.fullmatch(message, state.stopped)
    assert (state.epoch, state.best_epoch, len(after_first)) == (1, 1, 1)
    for name, tensor in trainer.network.state_dict().items():
        assert torch.isfinite(tensor).all()
        assert torch.equal(tensor, after_first[0][name])


def test_a_loss_that_became_nan_without_validation_leaves_the_last_epoch() -> None:
    data = Poisoned(*clouds(0), *clouds(1), batch_size=16, seed=0)
    trainer = make_trainer(TrainingSchedule(3, 9, 7), data=data)
    state = trainer.run_blind(3)
    assert state.stopped == "the loss became NaN in epoch 2, batch 2; try a lower --lr"
    expected = make_trainer(TrainingSchedule(3, 9, 7))
    expected.run_blind(1)
    for name, tensor in trainer.network.state_dict().items():
        assert torch.equal(tensor, expected.network.state_dict()[name])


def test_a_damaged_checkpoint_leaves_the_first_weights(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = make_trainer(TrainingSchedule(2, 9, 7), tmp_path / "checkpoint")
    trainer.run()
    saved = torch.load(tmp_path / "checkpoint", weights_only=True)
    torch.save({**saved, "optimizer": {}}, tmp_path / "checkpoint")
    again = make_trainer(TrainingSchedule(2, 9, 7), tmp_path / "checkpoint")
    assert not again.resume()
    assert "is unreadable (KeyError): training starts anew" in caplog.text
    for name, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, again.first_weights[name])


def test_batches_are_reported_with_their_epoch() -> None:
    seen: list[tuple[int, int]] = []
    make_trainer(TrainingSchedule(2, 9, 7), after_batch=lambda *place: seen.append(place)).run()
    assert seen == [(epoch, batch) for epoch in (1, 2) for batch in (1, 2, 3, 4)]


@pytest.mark.gpu
def test_a_gpu_trains_in_mixed_precision() -> None:
    trainer = make_trainer(TrainingSchedule(8, 8, 7))
    x, _ = clouds(0)
    device = torch.device("cuda")
    mixed = replace(trainer, network=trainer.network.to(device), device=device)
    assert mixed.half in (torch.bfloat16, torch.float16)
    with torch.autocast("cuda", mixed.half):
        assert mixed.network(x.to(device)).dtype is mixed.half
    assert mixed.run().best_accuracy > 0.6


@pytest.mark.parametrize(("gained", "lost", "kept"), [(2, 0, 0), (3, 0, 3), (5, 3, 0), (30, 14, 3), (0, 0, 0)])
def test_an_epoch_that_is_better_by_chance_only_is_not_kept(gained: int, lost: int, kept: int) -> None:
    trainer = make_trainer(TrainingSchedule(5, 3, 0, keep_if_significant=True))
    first = [True] * lost + [False] * gained + [True, False] * 10
    best = [False] * lost + [True] * gained + [True, False] * 10
    trainer.state = TrainingState(3, 3, 0.1, 0.975, 0.2, 0.9, first, best)
    trainer.best_weights = {name: tensor + 1 for name, tensor in trainer.first_weights.items()}
    trainer.reject_chance()
    assert (trainer.state.best_epoch, trainer.state.rejected_epoch) == (kept, 3 - kept)
    assert (trainer.best_weights is trainer.first_weights) == (kept == 0)
    assert trainer.state.best_accuracy == (0.975 if kept else 0.9)


def test_the_best_epoch_is_kept_where_images_broke_meanwhile() -> None:
    trainer = make_trainer(TrainingSchedule(5, 3, 0, keep_if_significant=True))
    trainer.state = TrainingState(3, 3, 0.1, 0.9, 0.2, 0.9, [True, False], [True])
    trainer.reject_chance()
    assert trainer.state.best_epoch == 3


def test_weights_that_are_all_one_train_the_same_network() -> None:
    plain = make_trainer(TrainingSchedule(3, 9, 7))
    weighted = make_trainer(
        TrainingSchedule(3, 9, 7), data=replace(make_data(), weights=torch.ones(60), val_weights=torch.ones(60))
    )
    plain.run()
    weighted.run()
    for one, other in zip(weighted.network.parameters(), plain.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_loss_is_weighted_and_the_accuracy_is_not() -> None:
    heavy = torch.where(clouds(1)[1] == 0, 4.0, 0.5)
    trainer = make_trainer(TrainingSchedule(1, 9, 7), data=replace(make_data(), val_weights=heavy))
    validation = trainer.evaluate()
    plain = make_trainer(TrainingSchedule(1, 9, 7)).evaluate()
    x, y = clouds(1)
    with torch.inference_mode():
        losses = nn.functional.cross_entropy(trainer.network(x), y, reduction="none")
    assert validation.loss == pytest.approx(float((losses * heavy).sum() / heavy.sum()), rel=1e-5)
    assert validation.accuracy == plain.accuracy
    assert validation.score == pytest.approx(float(heavy[torch.tensor(validation.correct)].sum() / heavy.sum()))
    per_image = trainer.compute_loss(torch.zeros(2, 3), torch.tensor([0, 1]), torch.tensor([3.0, 1.0]))
    assert float(per_image) == pytest.approx(2 * math.log(3), rel=1e-5)


@pytest.mark.parametrize(("weight", "kept"), [(10.0, 3), (0.1, 0)])
def test_images_toss_coins_of_their_weight(weight: float, kept: int) -> None:
    trainer = make_trainer(TrainingSchedule(5, 3, 0, keep_if_significant=True))
    first = [True] * 4 + [False] * 4
    best = [False] * 4 + [True] * 4
    trainer.state = TrainingState(3, 3, 0.1, 0.9, 0.2, 0.9, first, best, val_weights=[1.0] * 4 + [weight] * 4)
    trainer.reject_chance()
    assert trainer.state.best_epoch == kept
