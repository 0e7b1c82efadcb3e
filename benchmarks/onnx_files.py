"""Compares models exported to ONNX with `featx predict` on photos: probabilities, labels, and images a second.

    python benchmarks/onnx_files.py photos --weights FOLDER [--base tiny ...] [--quick] [--photos 200]
    python benchmarks/onnx_files.py photos --weights FOLDER --speed

PHOTOS is a folder of class folders. Every base is exported with each of its poolings and a logistic regression, and
with each classifier on averages; then in float16, and with resizing in the graph. Weights are those of FOLDER where it
has a file that begins with the name of the base, else random.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import featx
from featx.models.model import Model

POOLINGS = ("avg", "max", "avg+max", "pyramid", "flat")
CLASSIFIERS = ("svm", "mlp", "knn", "dummy")
FINE_TUNED = "fine-tuned"


@dataclass(frozen=True)
class Subject:
    """A base, the layer that it is cut at, and its poolings."""

    base: str
    layer: str
    poolings: tuple[str, ...] = POOLINGS


SUBJECTS = (
    Subject("tiny", "layer4"),
    Subject("mobilenet_v2", "features.18"),
    Subject("timm:tf_efficientnet_lite0", "bn2"),
    Subject("resnet18", "layer4"),
    Subject("timm:vit_tiny_patch16_224", "blocks.8", (*POOLINGS, "cls")),
    Subject(FINE_TUNED, "features.14"),
)


class Bench:
    """What all measurements share: photos, a cache, a folder for models, and where lines go."""

    def __init__(self, photos: Path, weights: Path, most: int, folder: Path, out: Path | None) -> None:
        self.weights = weights
        self.folder = folder
        self.out = out
        self.data, self.paths = write_table(photos, most, folder / "photos.csv")
        self.options: dict[str, Any] = {"cache": folder / "cache"}

    def say(self, line: str) -> None:
        """Print a line, and add it to the file of results."""
        print(line, flush=True)
        if self.out:
            with self.out.open("a") as file:
                file.write(line + "\n")

    def find_weights(self, base: str) -> str | None:
        """Give the file of a base's weights; "random" where there is none, None for the bundled ones."""
        if base == "tiny":
            return None
        found = sorted(self.weights.glob(f"{base.removeprefix('timm:')}-*")) if self.weights else []
        return str(found[0]) if found else "random"

    def compare(self, name: str, model: Model, **options: Any) -> None:
        """Export a model, label the photos with both, and write a row of the table."""
        out = self.folder / "model.onnx"
        started = time.perf_counter()
        exported = featx.export(model, out, **options)
        seconds = time.perf_counter() - started
        expected = read_probabilities(featx.predict(model, self.paths))
        found = read_probabilities(featx.predict(out, self.paths))
        difference = np.abs(found - expected).max()
        same = int((found.argmax(1) == expected.argmax(1)).sum())
        resize = f"{exported.resize.mean:.2g}, {exported.resize.most:g}" if exported.resize else ""
        self.say(
            f"| {name} | {difference:.1e} | {same} of {len(expected)} | {exported.bytes / 1e6:.1f} | {seconds:.0f} "
            f"| {resize} |"
        )


def write_table(photos: Path, most: int, out: Path) -> tuple[str, list[str]]:
    """Take as many photos of each class, and list them as a table of path and label."""
    classes = sorted(folder for folder in photos.iterdir() if folder.is_dir())
    of_class = [sorted(folder.iterdir()) for folder in classes]
    chosen = [(path.resolve(), path.parent.name) for row in zip(*of_class, strict=False) for path in row][:most]
    with out.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *chosen])
    return str(out), [str(path) for path, _ in chosen]


def read_probabilities(predictions: Any) -> np.ndarray[Any, Any]:
    """Put the probabilities of all photos into one array."""
    return np.array([list(image.probabilities.values()) for image in predictions.labelled])


def make_models(bench: Bench, subject: Subject, is_quick: bool) -> Iterator[tuple[str, Model]]:
    """Fit the models of a base, each with its name in the table; only the first one where it has to be quick."""
    if subject.base == FINE_TUNED:
        yield "mobilenet_v2, fine-tuned", fine_tune(bench, subject)
        return
    base = featx.BaseChoice(subject.base, bench.find_weights(subject.base))
    poolings = list(subject.poolings[:1] if is_quick else subject.poolings)
    featx.extract(bench.data, base=base, layers=[subject.layer], poolings=poolings, **bench.options)
    pairs = [(pooling, "logreg") for pooling in poolings]
    if not is_quick:
        pairs += [("avg", clf) for clf in CLASSIFIERS]
    for pooling, clf in pairs:
        fitted = featx.fit(bench.data, base=base, layer=subject.layer, clf=clf, pooling=pooling, **bench.options)
        yield f"{subject.base}, {pooling}, {clf}", fitted.model


def fine_tune(bench: Bench, subject: Subject) -> Model:
    """Fine-tune the last stages of a base for a moment."""
    out = bench.folder / "tuned.featx"
    base = featx.BaseChoice("mobilenet_v2", bench.find_weights("mobilenet_v2"))
    settings: dict[str, Any] = {"epochs_head": 3, "epochs": 1, **bench.options}
    featx.finetune(bench.data, base=base, start=subject.layer, out=out, **settings)
    return featx.load_model(out)


def measure_agreement(bench: Bench, subjects: list[Subject], is_quick: bool) -> None:
    """Write the table of differences."""
    bench.say("| model | greatest difference | same label | MB | export, s | resize: mean, most |")
    bench.say("|---|---|---|---|---|---|")
    for subject in subjects:
        models = list(make_models(bench, subject, is_quick))
        for name, model in models:
            bench.compare(name, model)
        name, model = models[0]
        bench.compare(f"{name}, half", model, half=True)
        bench.compare(f"{name}, with resize", model, with_resize=True)


def measure_speed(bench: Bench, subjects: list[Subject]) -> None:
    """Label the photos with each engine in turn, twice, and write images a second of the better pass."""
    bench.say("| model | featx predict, images/s | ONNX Runtime, images/s | greatest difference | same label |")
    bench.say("|---|---|---|---|---|")
    for subject in subjects:
        ((name, model),) = make_models(bench, subject, is_quick=True)
        out = bench.folder / "model.onnx"
        featx.export(model, out)
        rates = dict.fromkeys(("own", "onnx"), 0.0)
        probabilities = {}
        # In turn, so that other work on the machine slows both alike.
        for _ in range(2):
            for engine, runnable in (("own", model), ("onnx", out)):
                started = time.perf_counter()
                predictions = featx.predict(runnable, bench.paths)
                rate = len(bench.paths) / (time.perf_counter() - started)
                rates[engine] = max(rates[engine], rate)
                probabilities[engine] = read_probabilities(predictions)
        difference = np.abs(probabilities["own"] - probabilities["onnx"]).max()
        same = int((probabilities["own"].argmax(1) == probabilities["onnx"].argmax(1)).sum())
        figures = f"{rates['own']:.0f} | {rates['onnx']:.0f} | {difference:.1e} | {same} of {len(bench.paths)}"
        bench.say(f"| {name} | {figures} |")


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--base", action="append")
    parser.add_argument("--photos", dest="most", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="one pooling and classifier of each base")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    subjects = [subject for subject in SUBJECTS if given.base is None or subject.base in given.base]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(given.photos, given.weights, given.most, Path(folder), given.out)
        if given.speed:
            measure_speed(bench, subjects)
        else:
            measure_agreement(bench, subjects, given.quick)


if __name__ == "__main__":
    main()
