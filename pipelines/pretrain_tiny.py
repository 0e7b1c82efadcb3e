"""Pretrain the bundled base `tiny` on CIFAR-100, and write the weights that the package ships.

    python pipelines/pretrain_tiny.py cifar100.npz --out featx/bases/pretrained

Plain cross-entropy, random crops and mirroring: no label smoothing, mixup or cutmix, since they make frozen
features worse (Kornblith et al., 2021, "Why do better loss functions lead to less transferable features?").
Stopped at any moment and started again with the same arguments, it goes on from the last finished epoch.
The test part is read once, at the end; the best weights are chosen on 2,000 images kept back from the training part.
"""

from __future__ import annotations

import io
import json
import math
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from featx.bases.architectures.tiny import tiny
from featx.bases.registry import CIFAR

REPORT_STEPS = 50
"""Steps between two lines of progress."""

EVAL_BATCH = 500
"""Images a batch when no gradients are kept."""

PADDING = 4
"""Reflected pixels on each side before a crop at full size, as is usual for CIFAR."""


@dataclass(frozen=True)
class TrainingSchedule:
    """Everything that the result depends on, besides the data.

    Images are cropped to `crop` pixels (a third cheaper, and one more augmentation) until the last
    `full_size_epochs` epochs, which see the full 32 pixels that the base is used with.
    """

    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 0.2
    weight_decay: float = 5e-4
    warmup: float = 0.15
    crop: int = 24
    full_size_epochs: int = 6
    validation: int = 2000
    seed: int = 42

    def rate(self, progress: float) -> float:
        """Learning rate after a share of training (0 to 1): linear warm-up, then half a cosine."""
        if progress < self.warmup:
            return self.learning_rate * progress / self.warmup
        decay = (progress - self.warmup) / (1 - self.warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * decay))


@dataclass
class Images:
    """Normalised images and their classes: (n, 3, 32, 32) float32 and (n,) int64."""

    x: Tensor
    y: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Images:
        return Images(self.x[rows], self.y[rows])


def load_part(archive: np.lib.npyio.NpzFile, part: str, limit: int | None) -> Images:
    """Decode one part ("train" or "test") of the archive, or its first `limit` images."""
    offsets = archive[f"{part}_offsets"]
    if limit is not None:
        # One more offset than images: each image ends where the next one begins.
        offsets = offsets[: limit + 1]
    webp = archive[f"{part}_webp"]
    pixels = np.empty((len(offsets) - 1, 32, 32, 3), np.uint8)
    for row, (start, stop) in enumerate(pairwise(offsets.tolist())):
        image = Image.open(io.BytesIO(webp[start:stop].tobytes()))
        pixels[row] = np.asarray(image.convert("RGB"))
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
    mean = torch.tensor(CIFAR.mean).view(1, 3, 1, 1)
    deviation = torch.tensor(CIFAR.std).view(1, 3, 1, 1)
    x = x.sub_(mean).div_(deviation)
    labels = archive[f"{part}_labels"][: len(x)].astype(np.int64)
    return Images(x, torch.from_numpy(labels))


def augment(x: Tensor, crop: int, generator: torch.Generator) -> Tensor:
    """Cut a random window out of each image, and mirror half of them.

    At the full size the image is first padded by `PADDING` reflected pixels.

    Parameters
    ----------
    x : (n, 3, 32, 32) float32
    crop : int
        Side of the window in pixels.

    Returns
    -------
    (n, 3, crop, crop) float32
    """
    if crop == x.shape[-1]:
        x = nn.functional.pad(x, (PADDING,) * 4, mode="reflect")
    room = x.shape[-1] - crop + 1
    top, left = torch.randint(room, (2, len(x), 1), generator=generator)
    rows = top + torch.arange(crop)
    columns = left + torch.arange(crop)
    mirrored = torch.rand(len(x), 1, generator=generator) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    picked = x[torch.arange(len(x))[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    # Picked with the channels last, which is also the memory layout that convolutions are fastest with.
    return picked.permute(0, 3, 1, 2)


def accuracy(network: nn.Module, images: Images) -> float:
    """Share of images whose most probable class is the right one."""
    network.eval()
    hits = 0
    with torch.inference_mode():
        for start in range(0, len(images.y), EVAL_BATCH):
            batch = images[start : start + EVAL_BATCH]
            hits += int((network(batch.x).argmax(1) == batch.y).sum())
    return hits / len(images.y)


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, images: Images, schedule: TrainingSchedule, epoch: int
) -> float:
    """Train for one pass over the images, seeded by the epoch's number; return the mean loss."""
    generator = torch.Generator().manual_seed(schedule.seed * 1000 + epoch)
    is_full_size = epoch >= schedule.epochs - schedule.full_size_epochs
    crop = CIFAR.crop if is_full_size else schedule.crop
    steps = max(1, len(images.y) // schedule.batch_size)
    order = torch.randperm(len(images.y), generator=generator)
    # The last, smaller batch is left out: its batch norms would be noisier than the others'.
    batches = order[: steps * schedule.batch_size].split(schedule.batch_size)
    network.train()
    total = 0.0
    started = time.perf_counter()
    for step, rows in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate((epoch + step / steps) / schedule.epochs)
        batch = images[rows]
        loss = nn.functional.cross_entropy(network(augment(batch.x, crop, generator)), batch.y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.item()
        done = step + 1
        if done % REPORT_STEPS == 0:
            left = (time.perf_counter() - started) / done * (steps - done)
            click.echo(f"  epoch {epoch + 1} step {done}/{steps} loss {total / done:.3f}, {left:.0f} s left", err=True)
    return total / steps


def make_optimizer(network: nn.Module, schedule: TrainingSchedule) -> torch.optim.SGD:
    """Make SGD with Nesterov momentum; no weight decay on biases and batch norm."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    param_groups = [{"params": decayed, "weight_decay": schedule.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.SGD(param_groups, lr=schedule.learning_rate, momentum=0.9, nesterov=True)


def train(schedule: TrainingSchedule, images: Images, checkpoint: Path) -> tuple[nn.Sequential, float]:
    """Train from the checkpoint on, or from the start; return the best network and its validation accuracy.

    Raises
    ------
    click.ClickException
        If the checkpoint was made with other settings.
    """
    torch.manual_seed(schedule.seed)
    val = images[: schedule.validation]
    train_images = images[schedule.validation :]
    network = tiny().to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, schedule)
    best: dict[str, Tensor] = {}
    best_accuracy = -1.0
    done = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["recipe"] != asdict(schedule):
            raise click.ClickException(
                f"checkpoint '{checkpoint}' was made with other settings, {state['recipe']}: remove it, or use these"
            )
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        best = state["best"]
        best_accuracy = state["best_accuracy"]
        done = state["epoch"]
        click.echo(f"going on after epoch {done}", err=True)
    for epoch in range(done, schedule.epochs):
        started = time.perf_counter()
        loss = train_epoch(network, optimizer, train_images, schedule, epoch)
        score = accuracy(network, val)
        if score > best_accuracy:
            best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            best_accuracy = score
        state = {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "best": best,
            "best_accuracy": best_accuracy,
            "epoch": epoch + 1,
            "recipe": asdict(schedule),
        }
        # Written beside and renamed, so that a run killed meanwhile finds the checkpoint of the epoch before.
        unfinished = checkpoint.with_suffix(".tmp")
        torch.save(state, unfinished)
        unfinished.replace(checkpoint)
        seconds = time.perf_counter() - started
        click.echo(
            f"epoch {epoch + 1}/{schedule.epochs}: loss {loss:.3f}, validation {score:.4f}, {seconds:.0f} s", err=True
        )
    network.load_state_dict(best)
    return network, best_accuracy


def write_weights(network: nn.Sequential, out: Path) -> Path:
    """Store every floating tensor as float16; return the file's path."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "tiny-cifar100.safetensors"
    tensors = {}
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor = tensor.half()
        tensors[name] = tensor.contiguous()
    save_file(tensors, path)
    return path


@click.command()
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write the weights to.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=Path("pretrain_tiny.pt"),
    show_default=True,
    help="File to go on from, written after each epoch.",
)
@click.option(
    "--epochs", type=int, default=TrainingSchedule.epochs, show_default=True, help="Number of training epochs."
)
@click.option("--limit", type=int, default=None, help="Use only the first images of each part.")
@click.option("--threads", type=int, default=None, help="Threads for the arithmetic.  [default: all cores]")
def main(data: Path, out: Path, checkpoint: Path, epochs: int, limit: int | None, threads: int | None) -> None:
    """Train on DATA (cifar100.npz) and write the weights with their figures as JSON."""
    if threads:
        torch.set_num_threads(threads)
    archive = np.load(data, allow_pickle=False)
    images = load_part(archive, "train", limit)
    # Other lengths of training see the full size for the same share of it.
    full_size_epochs = round(epochs * TrainingSchedule.full_size_epochs / TrainingSchedule.epochs)
    schedule = TrainingSchedule(
        epochs=epochs,
        full_size_epochs=max(1, full_size_epochs),
        validation=min(TrainingSchedule.validation, len(images.y) // 5),
    )
    network, validation = train(schedule, images, checkpoint)
    path = write_weights(network, out)
    # The test accuracy is that of the file: of the weights rounded to float16.
    network.half().float()
    test = accuracy(network, load_part(archive, "test", limit))
    figures = {"validation_accuracy": validation, "test_accuracy": test, "recipe": asdict(schedule)}
    (out / "tiny-cifar100.json").write_text(json.dumps(figures, indent=2) + "\n")
    click.echo(json.dumps({"weights": str(path), **figures}))


if __name__ == "__main__":
    main()
