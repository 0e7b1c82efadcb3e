"""What decoding large JPEG files at a part of their size saves, and what it costs in accuracy.

    python benchmarks/decode.py [--base mobilenet_v2] [--weights FILE] [--rounds 5]   # made photos: images a second
    python benchmarks/decode.py --enlarge PHOTOS OUT [--of-class 40]                  # photos of 12 megapixels
    python benchmarks/decode.py --accuracy OUT --cache DIR --weights FILE             # exact against scaled

Speed is measured as in `extract.py`, each figure in a process of its own, all in each round. Ratios are of the seconds
that cores worked, building the network included: they stay what they are while others use the machine, too. Photos are
made, of 12 megapixels: with a camera's grain, as large as photos come from a camera, and nearly without, as large as
those that a messenger or a web site has compressed again. Enlarged photos have noise and sharpening added, so that
there is something to be lost between the pixels that a base sees and those of the file. Tables go to
benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from extract import run_variant
from gpu_photos import GRAIN, LARGE, write_photos
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import featx
from featx.base_choice import BaseChoice
from featx.evaluation.comparison import open_comparison
from featx.evaluation.evaluate import evaluate_layer_set
from featx.evaluation.metrics import mcnemar
from featx.keys import DECODE_MODES
from featx.processes.machine import count_cores
from featx.requests import CompareRequest

RESULTS = Path(__file__).parent / "results"
KINDS = {"with grain": GRAIN, "nearly without": 1}
DISTINCT = 16
COUNT = 160
"""Images from 150 on are worth OpenVINO's translation."""

PIXELS = 12e6
NOISE = 6
"""Deviation of the noise of enlarged photos, in steps of 8 bits."""

LAYERS = ("layer2", "layer3", "layer4", "features.18")
CLASSIFIERS = ("logreg", "svm")


def compare_speed(asked: argparse.Namespace) -> list[str]:
    """Extract made photos exactly, scaled and by hand, and make a table of the medians of all rounds so far."""
    with tempfile.TemporaryDirectory() as folder:
        work = asked.work or Path(folder)
        lines = [f"{asked.base}, {COUNT} JPEG files of {LARGE[0]} x {LARGE[1]}"]
        lines.append(f"{'':22} images/s   ms of a core a photo   times exact   times by hand")
        for kind, grain in KINDS.items():
            data = work / kind
            if not data.is_dir():
                write_photos(data, LARGE, DISTINCT, COUNT, grain)
            megabytes = statistics.mean(path.stat().st_size for path in data.rglob("*.jpg")) / 1e6
            noted = work / f"{kind}.json"
            rounds = json.loads(noted.read_text()) if noted.exists() else []
            if kind in asked.kinds:
                rounds += [measure_ways(asked, str(data)) for _ in range(asked.rounds)]
                noted.write_text(json.dumps(rounds))
            if rounds:
                lines.append(f"{kind}, {megabytes:.1f} MB a file, {len(rounds)} rounds:")
                lines += list_rates(rounds)
    return lines


def measure_ways(asked: argparse.Namespace, data: str) -> dict[str, list[float]]:
    """Let the ways take turns on one folder of photos: seconds of cores, and images a second."""
    ways = {"by hand": ("by hand", "exact"), "exact": ("featx", "exact"), "scaled": ("featx", "scaled")}
    taken = {}
    for name, (variant, decode) in ways.items():
        taken[name] = run_variant(argparse.Namespace(**{**vars(asked), "data": data, "decode": decode}), variant)
    print(", ".join(f"{name} {rate:.1f}" for name, (_, rate) in taken.items()), file=sys.stderr)
    return taken


def list_rates(rounds: list[dict[str, list[float]]]) -> list[str]:
    """Write a line for each way: medians of its rate and its cores' time, and of the ratios of the latter."""
    lines = []
    for name in rounds[0]:
        rate = statistics.median(taken[name][1] for taken in rounds)
        milliseconds = 1e3 * statistics.median(taken[name][0] for taken in rounds) / COUNT
        to_exact = statistics.median(taken["exact"][0] / taken[name][0] for taken in rounds)
        to_hand = statistics.median(taken["by hand"][0] / taken[name][0] for taken in rounds)
        lines.append(f"  {name:20} {rate:8.1f}   {milliseconds:20.0f}   {to_exact:11.2f}   {to_hand:13.2f}")
    return lines


def enlarge_all(photos: Path, out: Path, of_class: int) -> None:
    """Enlarge the first photos of each class folder to 12 megapixels, with noise and sharpening."""
    draw = np.random.default_rng(0)
    # One field of noise, moved about for each photo: drawing another takes longer than everything else.
    noise = draw.normal(0, NOISE, 2**24).astype(np.int8)
    for source in sorted(photos.iterdir()):
        for path in sorted(source.iterdir())[:of_class]:
            target = out / source.name / path.name
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            enlarged = enlarge(Image.open(path).convert("RGB"), np.roll(noise, int(draw.integers(2**24))))
            enlarged.save(target, quality=90)


def enlarge(photo: Image.Image, noise: NDArray[np.int8]) -> Image.Image:
    """Enlarge a photo to 12 megapixels, sharpen it, and add noise to its brightness."""
    factor = (PIXELS / (photo.width * photo.height)) ** 0.5
    size = (round(photo.width * factor), round(photo.height * factor))
    sharp = photo.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.UnsharpMask(3, 120, 0))
    grain = noise[: size[0] * size[1]].reshape(size[1], size[0], 1)
    return Image.fromarray((np.asarray(sharp, dtype=np.int16) + grain).clip(0, 255).astype(np.uint8))


def compare_accuracy(asked: argparse.Namespace) -> list[str]:
    """Extract exactly and scaled, and compare features and, by a paired test, held-out accuracies."""
    lines: list[str] = []
    for decode in DECODE_MODES:
        options: dict[str, Any] = {"base": asked.base, "weights": asked.weights, "cache": asked.cache}
        summary = featx.extract(asked.accuracy, layers=LAYERS, decode=decode, **options)
        if not lines:
            lines.append(f"{Path(asked.accuracy).name}, {summary.images} images, {asked.base}")
    lines.append(f"{'':24} relative difference   accuracy exact   scaled   different   p")
    for layer in LAYERS:
        pair = [
            featx.load_features(asked.accuracy, layer=layer, decode=decode, scaled=False, **options).X
            for decode in DECODE_MODES
        ]
        apart = np.linalg.norm(pair[0] - pair[1], axis=1) / np.linalg.norm(pair[0], axis=1)
        for clf in CLASSIFIERS:
            exact, scaled = judge(asked, layer, clf)
            lines.append(
                f"{layer:16}{clf:8} {np.median(apart):9.2%} (worst {apart.max():6.2%}) {exact.mean():10.4f} "
                f"{scaled.mean():10.4f} {int((exact != scaled).sum()):6} of {len(exact)}   {mcnemar(exact, scaled):.2f}"
            )
    return lines


def judge(asked: argparse.Namespace, layer: str, clf: str) -> list[NDArray[np.bool_]]:
    """Fit a classifier to both kinds of features, and say of each held-out image whether it was labelled rightly."""
    rights: list[NDArray[np.bool_]] = []
    for decode in DECODE_MODES:
        choice = BaseChoice(asked.base, asked.weights, decode=decode)
        comparison = open_comparison(CompareRequest(asked.accuracy, choice, (layer,), (clf,), cache=asked.cache))
        (evaluation,) = evaluate_layer_set(comparison, comparison.layer_sets[0])
        truth = comparison.dataset.y[comparison.dataset.test]
        rights.append(evaluation.predictions.classes == truth)
    return rights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="mobilenet_v2")
    parser.add_argument("--weights", help="a file; random weights otherwise")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS, help="photos to measure now")
    parser.add_argument("--work", type=Path, help="keeps photos and rounds: a further run adds its rounds to these")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--enlarge", nargs=2, type=Path, metavar=("PHOTOS", "OUT"))
    parser.add_argument("--of-class", type=int, default=40, help="photos of each class that are enlarged")
    parser.add_argument("--accuracy", metavar="DATA", help="a folder of photos, CLASS/photo.jpg")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    asked = parser.parse_args()
    if asked.enlarge:
        photos, out = asked.enlarge
        enlarge_all(photos, out, asked.of_class)
        return
    lines = compare_accuracy(asked) if asked.accuracy else compare_speed(asked)
    what = f"{count_cores()} cores, {platform.processor() or platform.machine()}, torch {torch.__version__}"
    table = "\n".join([what, *lines]) + "\n"
    print(table)
    name = f"decode-accuracy-{Path(asked.accuracy).name}.txt" if asked.accuracy else "decode.txt"
    (RESULTS / name).write_text(table)


if __name__ == "__main__":
    main()
