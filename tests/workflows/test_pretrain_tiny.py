from __future__ import annotations

import io
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / "pipelines" / "pretrain_tiny.py"))


def part(n: int, seed: int) -> dict[str, Any]:
    """Pictures whose brightness says their class, in the layout of cifar100.npz."""
    random = np.random.default_rng(seed)
    labels = (np.arange(n) % 2).astype(np.uint8)
    files = []
    for label in labels:
        file = io.BytesIO()
        pixels = random.integers(0, 90, (32, 32, 3)) + 160 * int(label)
        Image.fromarray(pixels.astype(np.uint8)).save(file, "WEBP", quality=90)
        files.append(np.frombuffer(file.getvalue(), np.uint8))
    return {"webp": np.concatenate(files), "offsets": np.cumsum([0, *map(len, files)]), "labels": labels}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    arrays = {f"train_{k}": v for k, v in part(400, 0).items()} | {f"test_{k}": v for k, v in part(60, 1).items()}
    np.savez(tmp_path / "data.npz", **arrays)

    def call(*extra: str) -> Result:
        fixed = [str(tmp_path / "data.npz"), "--out", str(tmp_path / "out"), "--checkpoint", str(tmp_path / "c.pt")]
        return CliRunner().invoke(SCRIPT["main"], [*fixed, *extra], catch_exceptions=False)

    return call


def test_a_few_steps_learn_and_write_weights_that_load(run: Callable[..., Result], tmp_path: Path) -> None:
    from tests.conftest import load_base

    result = run("--epochs", "3")
    assert result.exit_code == 0
    figures = json.loads(result.stdout)
    assert figures["test_accuracy"] > 0.8
    assert Path(figures["weights"]).stat().st_size < 3_000_000
    assert load_base("tiny", figures["weights"]).source == "tiny-cifar100.safetensors"


def test_a_stopped_run_goes_on_to_the_same_weights(run: Callable[..., Result], tmp_path: Path) -> None:
    run("--epochs", "2")
    whole = (tmp_path / "out" / "tiny-cifar100.safetensors").read_bytes()
    (tmp_path / "c.pt").unlink()
    train_epoch = SCRIPT["train_epoch"]

    class Killed(Exception):
        pass

    def stop(network: Any, optimizer: Any, images: Any, schedule: Any, epoch: int) -> float:
        if epoch == 1:
            raise Killed
        return float(train_epoch(network, optimizer, images, schedule, epoch))

    functions = SCRIPT["train"].__globals__
    functions["train_epoch"] = stop
    with pytest.raises(Killed):
        run("--epochs", "2")
    functions["train_epoch"] = train_epoch
    assert "going on after epoch 1" in run("--epochs", "2").output
    assert (tmp_path / "out" / "tiny-cifar100.safetensors").read_bytes() == whole


def test_other_settings_do_not_go_on_from_a_checkpoint(run: Callable[..., Result]) -> None:
    run("--epochs", "1")
    result = run("--epochs", "2")
    assert result.exit_code == 1
    assert "was made with other settings, {'epochs': 1, " in result.output
    assert "remove it, or use these" in result.output


@pytest.mark.parametrize("crop", [24, 32])
def test_crops_have_the_size_asked_for_and_are_seeded(crop: int) -> None:
    import torch

    x = torch.randn(5, 3, 32, 32)
    first, second = (SCRIPT["augment"](x, crop, torch.Generator().manual_seed(1)) for _ in range(2))
    assert first.shape == (5, 3, crop, crop)
    assert torch.equal(first, second)


@pytest.mark.weights
def test_a_slice_of_the_real_data_loads(shared: Path) -> None:
    archive = np.load(shared / "data" / "cifar100" / "cifar100.npz", allow_pickle=False)
    images = SCRIPT["load_part"](archive, "test", 20)
    assert images.x.shape == (20, 3, 32, 32)
    assert abs(float(images.x.mean())) < 1


def test_the_bundled_weights_are_what_the_model_card_says() -> None:
    import hashlib

    folder = ROOT / "featx" / "bases" / "pretrained"
    file = folder / "tiny-cifar100.safetensors"
    assert file.stat().st_size <= 3_000_000
    assert hashlib.sha256(file.read_bytes()).hexdigest() in (folder / "README.md").read_text(encoding="utf-8")
