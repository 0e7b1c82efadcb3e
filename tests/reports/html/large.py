"""A data set of many rows that nobody had to extract, and its page: `python -m tests.reports.html.large FILE`."""

from __future__ import annotations

import io
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from featx.base_choice import BaseChoice
from featx.data.listing import DigestedListing, Listing
from featx.data.sources.image_files import MemoryFiles
from featx.evaluation.comparison import Comparison
from featx.evaluation.protocol import Subject as EvaluatedSubject
from featx.evaluation.protocol import Training, make_evaluation
from featx.evaluation.rows.held_out import make_table_rows
from featx.features.catalog import Selection
from featx.features.dataset import Dataset
from featx.keys import BaseId, InputTransform
from featx.reports.html.looking import FeatureMap, Looked
from featx.reports.html.material import Material, Subject
from featx.reports.html.page import Page, make_page
from featx.requests import CompareRequest, ReportRequest
from featx.store.base_json import StoredBase

LAYERS = ("features.3", "features.6", "features.13", "features.17", "features.18")


def make_photo(path: str) -> bytes:
    """A photo-like JPEG of 320 pixels: smooth shapes and some noise, another one for each path."""
    generator = np.random.default_rng(int(Path(path).stem))
    coarse = Image.fromarray(generator.integers(0, 255, (7, 8, 3)).astype(np.uint8)).resize((320, 280), Image.BICUBIC)
    pixels = np.asarray(coarse, np.float32) + generator.normal(0, 12, (280, 320, 1))
    content = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=88)
    return content.getvalue()


def make_material(rows: int, classes: int, out: Path) -> Material:
    """Everything that a page is made of: rows that were evaluated, and a map."""
    generator = np.random.default_rng(0)
    y = np.arange(rows) % classes
    test = np.arange(rows) % 4 == 3
    names = [f"class of things number {code:03}" for code in range(classes)]
    listing = Listing(
        name="photos",
        paths=[f"photos/{names[code]}/{row:06}.jpg" for row, code in enumerate(y)],
        labels=[names[code] for code in y],
        splits=[""] * rows,
        files=MemoryFiles(make_photo),
    )
    digests = generator.integers(0, 256, (rows, 32)).astype(np.uint8)
    dataset = Dataset(DigestedListing(listing, digests), names, y, np.arange(rows), test, "held out: a quarter")
    base = StoredBase(BaseId("mobilenet_v2", "0" * 64, InputTransform(256, 224)), "IMAGENET1K_V1", (), True)
    features = CompareRequest("photos", BaseChoice("mobilenet_v2"))
    comparison = Comparison(features, ["logreg"], Selection(features, base, []), dataset)
    truth = y[test]
    evaluated: list[tuple[None, Any]] = []
    for depth, layer in enumerate(LAYERS):
        for clf in ("logreg", "svm", "mlp"):
            scores = generator.normal(0, 1, (len(truth), classes)) + 0.0
            scores[np.arange(len(truth)), truth] += 1.5 + 0.6 * depth
            probabilities = np.exp(2 * scores)
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            subject = EvaluatedSubject("mobilenet_v2", layer, "avg", clf, 1280)
            training = Training(int((~test).sum()), 0.3 + 0.1 * depth, 1.0, {"C": 1.0})
            output = probabilities.argmax(axis=1), probabilities
            evaluated.append((None, make_evaluation(subject, training, truth, output, None)))
    table = make_table_rows(comparison, evaluated)
    place = len(table) - 1
    shown = Subject(table[place], evaluated[place][1].predictions, comparison, None, "The best by cross-validation")
    places = generator.normal(0, 1, (2, rows)) + np.array([np.cos(y), np.sin(y)]) * 3
    of_map = FeatureMap("features.18", "avg", range(rows), places[0].tolist(), places[1].tolist())
    return Material(ReportRequest(features, out), table, shown, looked=Looked(maps=[of_map, of_map]))


def write_page(rows: int, classes: int, out: Path) -> tuple[Page, float]:
    """Write the page, and give the seconds that making it took."""
    material = make_material(rows, classes, out)
    started = time.perf_counter()
    page = make_page(material)
    out.write_text(page.text, encoding="utf-8")
    return page, time.perf_counter() - started


if __name__ == "__main__":
    from tests.browser import open_browser

    target = Path(sys.argv[1])
    page, seconds = write_page(50_000, 200, target)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    sys.stdout.write(
        f"{target.stat().st_size / 1e6:.2f} MB, {len(page.pictures.sources)} of {page.pictures.wanted} pictures, "
        f"{seconds:.1f} s, {peak:.2f} GB at most\n"
    )
    with open_browser() as opened:
        for _ in range(3):
            shown = opened.open(target)
            times = shown.run(
                "(() => { const t = performance.getEntriesByType('navigation')[0];"
                " return [t.domInteractive, t.domContentLoadedEventEnd, t.loadEventEnd]; })()"
            )
            heap = shown.run("performance.memory ? performance.memory.usedJSHeapSize / 1e6 : 0")
            sys.stdout.write(
                f"interactive after {times[1]:.0f} ms, loaded after {times[2]:.0f} ms, {heap:.0f} MB heap\n"
            )
