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

MEAN = (0.5071, 0.4865, 0.4409)
STD = (0.2673, 0.2564, 0.2762)


@dataclass(frozen=True)
class TrainingSchedule:
    """Everything that the result depends on, beside the data.

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
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))


@dataclass
class Images:
    """Normalised images and their classes: (n, 3, 32, 32) float32 and (n,) int64."""

    x: Tensor
    y: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Images:
        return Images(self.x[rows], self.y[rows])


def load_part(archive: np.lib.npyio.NpzFile, part: str, limit: int | None) -> Images:
    """Decode one part ("train" or "test") of the archive, at most `limit` images of it."""
    offsets = archive[f"{part}_offsets"][: None if limit is None else limit + 1]
    webp = archive[f"{part}_webp"]
    pixels = np.empty((len(offsets) - 1, 32, 32, 3), np.uint8)
    for row, (start, stop) in enumerate(pairwise(offsets.tolist())):
        pixels[row] = np.asarray(Image.open(io.BytesIO(webp[start:stop].tobytes())).convert("RGB"))
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
    x = x.sub_(torch.tensor(MEAN).view(1, 3, 1, 1)).div_(torch.tensor(STD).view(1, 3, 1, 1))
    return Images(x, torch.from_numpy(archive[f"{part}_labels"][: len(x)].astype(np.int64)))


def augment(x: Tensor, crop: int, generator: torch.Generator) -> Tensor:
    """LayerSet one random window out of each image, and mirror half of them.

    At the full size the image is first padded by 4 reflected pixels, as is usual for CIFAR.

    Parameters
    ----------
    x : (n, 3, 32, 32) float32
    crop : int
        Pixels a side of the window.

    Returns
    -------
    (n, 3, crop, crop) float32
    """
    if crop == x.shape[-1]:
        x = nn.functional.pad(x, (4, 4, 4, 4), mode="reflect")
    room = x.shape[-1] - crop + 1
    top, left = torch.randint(room, (2, len(x), 1), generator=generator)
    rows = top + torch.arange(crop)
    columns = left + torch.arange(crop)
    mirrored = torch.rand(len(x), 1, generator=generator) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    picked = x[torch.arange(len(x))[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)  # channels_last in memory, as the convolutions like it


def accuracy(network: nn.Module, images: Images) -> float:
    """Share of images whose most probable class is the right one."""
    network.eval()
    with torch.inference_mode():
        hits = sum(
            int((network(images.x[i : i + 500]).argmax(1) == images.y[i : i + 500]).sum())
            for i in range(0, len(images.y), 500)
        )
    return hits / len(images.y)


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, images: Images, recipe: TrainingSchedule, epoch: int
) -> float:
    """Train for one pass over the images, seeded by the epoch's number; return the mean loss."""
    generator = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
    crop = 32 if epoch >= recipe.epochs - recipe.full_size_epochs else recipe.crop
    steps = max(1, len(images.y) // recipe.batch_size)
    order = torch.randperm(len(images.y), generator=generator)[: steps * recipe.batch_size].split(recipe.batch_size)
    network.train()
    total, started = 0.0, time.perf_counter()
    for step, rows in enumerate(order):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate((epoch + step / steps) / recipe.epochs)
        batch = images[rows]
        loss = nn.functional.cross_entropy(network(augment(batch.x, crop, generator)), batch.y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.item()
        if step % 50 == 49:
            left = (time.perf_counter() - started) / (step + 1) * (steps - step - 1)
            click.echo(
                f"  epoch {epoch + 1} step {step + 1}/{steps} loss {total / (step + 1):.3f}, {left:.0f} s left",
                err=True,
            )
    return total / steps


def make_optimizer(network: nn.Module, recipe: TrainingSchedule) -> torch.optim.SGD:
    """SGD with Nesterov momentum; no weight decay on biases and batch norm."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)


def train(recipe: TrainingSchedule, images: Images, checkpoint: Path) -> tuple[nn.Sequential, float]:
    """Train from the checkpoint on, or from nothing; return the best network and its validation accuracy."""
    torch.manual_seed(recipe.seed)
    held, learned = images[: recipe.validation], images[recipe.validation :]
    network = tiny().to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, recipe)
    best: dict[str, Tensor] = {}
    best_accuracy, done = -1.0, 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["recipe"] != asdict(recipe):
            raise click.ClickException(
                f"{checkpoint} was made with {state['recipe']}: remove it, or repeat that recipe"
            )
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        best, best_accuracy, done = state["best"], state["best_accuracy"], state["epoch"]
        click.echo(f"going on after epoch {done}", err=True)
    for epoch in range(done, recipe.epochs):
        started = time.perf_counter()
        loss = train_epoch(network, optimizer, learned, recipe, epoch)
        score = accuracy(network, held)
        if score > best_accuracy:
            best, best_accuracy = {k: v.clone() for k, v in network.state_dict().items()}, score
        state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "best": best}
        state |= {"best_accuracy": best_accuracy, "epoch": epoch + 1, "recipe": asdict(recipe)}
        unfinished = checkpoint.with_suffix(".tmp")
        torch.save(state, unfinished)
        unfinished.replace(checkpoint)
        seconds = time.perf_counter() - started
        click.echo(
            f"epoch {epoch + 1}/{recipe.epochs}: loss {loss:.3f}, validation {score:.4f}, {seconds:.0f} s", err=True
        )
    network.load_state_dict(best)
    return network, best_accuracy


def write_weights(network: nn.Sequential, out: Path) -> Path:
    """Store every floating tensor as float16; return the file's path."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "tiny-cifar100.safetensors"
    tensors = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in network.state_dict().items()}
    save_file(tensors, path)
    return path


@click.command()
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the weights.")
@click.option("--checkpoint", type=click.Path(path_type=Path), default=Path("pretrain_tiny.pt"), show_default=True)
@click.option("--epochs", type=int, default=TrainingSchedule.epochs, show_default=True)
@click.option("--limit", type=int, default=None, help="Use only the first images of each part.")
@click.option("--threads", type=int, default=None, help="Threads for the arithmetic; default: all cores.")
def main(data: Path, out: Path, checkpoint: Path, epochs: int, limit: int | None, threads: int | None) -> None:
    """Train on DATA (cifar100.npz) and write the weights with their figures as JSON."""
    if threads:
        torch.set_num_threads(threads)
    archive = np.load(data, allow_pickle=False)
    images = load_part(archive, "train", limit)
    recipe = TrainingSchedule(
        epochs=epochs,
        full_size_epochs=max(1, round(epochs * TrainingSchedule.full_size_epochs / TrainingSchedule.epochs)),
        validation=min(TrainingSchedule.validation, len(images.y) // 5),
    )
    network, validation = train(recipe, images, checkpoint)
    path = write_weights(network, out)
    network.load_state_dict({k: v.float() for k, v in network.half().float().state_dict().items()})
    test = accuracy(network, load_part(archive, "test", limit))
    figures = {"validation_accuracy": validation, "test_accuracy": test, "recipe": asdict(recipe)}
    (out / "tiny-cifar100.json").write_text(json.dumps(figures, indent=2) + "\n")
    click.echo(json.dumps({"weights": str(path), **figures}))


if __name__ == "__main__":
    main()
