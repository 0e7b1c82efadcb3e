from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from featx.errors import DataError
from featx.finetuning.schedule import TrainingSchedule, TrainingState
from featx.finetuning.trainer import Batches, Trainer

CPU = torch.device("cpu")


def clouds(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    y = torch.arange(60) % 3
    return torch.eye(3)[y] * 2 + torch.randn(60, 3, generator=drawn), y


def trainer(recipe: TrainingSchedule, checkpoint: Path | None = None, rate: float = 0.05) -> Trainer:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
    x, y = clouds(0)

    def batches(epoch: int) -> Batches:
        order = torch.randperm(60, generator=torch.Generator().manual_seed(epoch))
        yield from ((x[rows], y[rows]) for rows in order.split(16))

    groups = [{"params": list(network.parameters()), "rate": rate}]
    return Trainer(network, groups, batches, 4, lambda: [clouds(1)], recipe, CPU, checkpoint, "facts")


def test_rates_rise_to_the_full_and_fall_to_a_hundredth() -> None:
    recipe = TrainingSchedule(10, 3, 0, warm_up=2)
    factors = [recipe.factor(place / 4) for place in range(41)]
    peak = factors.index(max(factors))
    assert peak == 8
    assert 0 < factors[0] < 0.01
    assert factors[:9] == sorted(factors[:9])
    assert factors[8:] == sorted(factors[8:], reverse=True)
    assert factors[-1] == pytest.approx(0.01)


def test_the_best_weights_are_kept_and_training_stops_early() -> None:
    seen: list[tuple[float, float]] = []
    one = trainer(TrainingSchedule(60, 4, 7), rate=0.3)
    done = one.run(lambda progress, loss, accuracy: seen.append((accuracy, -loss)))
    assert (done.best_accuracy, -done.best_loss) == max(seen)
    assert done.best_epoch == seen.index(max(seen)) + 1
    assert done.epoch == done.best_epoch + 4 < 60
    assert one.judge() == pytest.approx((done.best_loss, done.best_accuracy))
    assert done.best_accuracy > 0.6


def test_every_epoch_can_be_the_last_one_before_a_kill(tmp_path: Path) -> None:
    whole = trainer(TrainingSchedule(5, 9, 7))
    expected = whole.run()
    for _ in range(5):  # one epoch a process
        again = trainer(TrainingSchedule(5, 9, 7), tmp_path / "checkpoint")
        if not again.resume():
            again.done.best_loss, again.done.best_accuracy = again.judge()
        again.step()
        again.save()
    last = trainer(TrainingSchedule(5, 9, 7), tmp_path / "checkpoint")
    done = last.run()
    assert (done.epoch, done.best_epoch, done.best_loss) == (5, expected.best_epoch, expected.best_loss)
    for one, other in zip(last.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_nothing_to_judge_is_an_error() -> None:
    one = trainer(TrainingSchedule(2, 2, 0))
    one.judged = list
    with pytest.raises(DataError, match="no image of the validation part"):
        one.run()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_trains_in_mixed_precision() -> None:
    one = trainer(TrainingSchedule(8, 8, 7))
    x, _ = clouds(0)
    device = torch.device("cuda")
    mixed = Trainer(one.network.to(device), one.groups, one.batches, 4, one.judged, one.recipe, device)
    assert mixed.half in (torch.bfloat16, torch.float16)
    with torch.autocast("cuda", mixed.half):
        assert mixed.network(x.to(device)).dtype is mixed.half
    assert mixed.run().best_accuracy > 0.6


@pytest.mark.parametrize(("gained", "lost", "kept"), [(2, 0, 0), (3, 0, 3), (5, 3, 0), (30, 14, 3), (0, 0, 0)])
def test_an_epoch_that_is_better_by_chance_only_is_not_kept(gained: int, lost: int, kept: int) -> None:
    one = trainer(TrainingSchedule(5, 3, 0, keep_if_significant=True))
    first = [True] * lost + [False] * gained + [True, False] * 10
    best = [False] * lost + [True] * gained + [True, False] * 10
    one.done = TrainingState(3, 3, 0.1, 0.975, 0.2, 0.9, first, best)
    one.best = {name: tensor + 1 for name, tensor in one.first.items()}
    one.doubt()
    assert (one.done.best_epoch, one.done.doubted) == (kept, 3 - kept)
    assert (one.best is one.first) == (kept == 0)
    assert one.done.best_accuracy == (0.975 if kept else 0.9)


def test_images_that_broke_meanwhile_leave_nothing_to_doubt() -> None:
    one = trainer(TrainingSchedule(5, 3, 0, keep_if_significant=True))
    one.done = TrainingState(3, 3, 0.1, 0.9, 0.2, 0.9, [True, False], [True])
    one.doubt()
    assert one.done.best_epoch == 3
