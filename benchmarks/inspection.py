"""What `featx inspect`, `--reject` and `--set` find of planted faults, beside cleanlab and imagededup where they are.

    python benchmarks/inspection.py ../shared/data --weights ../shared/weights --cache cache --out inspection.txt
    python benchmarks/inspection.py ../shared/data --weights ../shared/weights --only labels --rivals venv/bin/python

DATA holds `flowers17`, `neu_steel` and `hymenoptera`; features are extracted where the cache lacks them. Faults are
planted by `inspection_faults.py`, all seeded. Rivals run in an interpreter of their own, since they need versions of
numpy that featx need not have; what does not import there is one line. (It is not called inspect.py: a script beside it
would import it instead of Python's own module of that name.)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from inspection_faults import CHANGES, plant_copies, plant_shortcut
from inspection_scale import describe_measured, measure_inspect
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

import featx
from featx.classifiers.out_of_fold import Setting, score_out_of_fold
from featx.classifiers.registry import CLASSIFIERS, Linear
from featx.classifiers.search import DEFAULT_OPTIONS, score_values
from featx.features.splits import make_folds
from featx.inspection.suspect_labels import find_suspect_labels
from featx.linear.weighting import UNWEIGHTED, WeightedLabels
from featx.models.array_classifier import compute_softmax
from featx.models.prediction_sets import PredictionSets
from featx.models.strangeness import fit_known_classes

BASE = "timm:tf_efficientnet_lite0"
WEIGHTS = "tf_efficientnet_lite0-imagenet.safetensors"
LAYER = "layer4"
SEED = 42
DRAWS = 5
"""How often labels are flipped, since one draw moves the average precision by a hundredth."""

CLEANLAB = """
import sys, numpy as np
from cleanlab.rank import get_label_quality_scores
from cleanlab.count import num_label_issues
given = np.load(sys.argv[1])
for method in ("self_confidence", "normalized_margin"):
    print(*get_label_quality_scores(given["y"], given["p"], method=method))
print(num_label_issues(given["y"], given["p"]))
"""

IMAGEDEDUP = """
import sys, json
from pathlib import Path
from imagededup.methods import PHash
hasher = PHash(verbose=False)
files = [str(path) for path in sorted(Path(sys.argv[1]).rglob("*")) if path.suffix in (".jpg", ".bmp")]
codes = {file: hasher.encode_image(image_file=file) for file in files}
print(json.dumps(hasher.find_duplicates(encoding_map=codes, max_distance_threshold=int(sys.argv[2]))))
"""

CLEANVISION = """
import sys, json
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1])
lab.find_issues({"near_duplicates": {}, "exact_duplicates": {}}, verbose=False)
sets = [set_ for kind in ("near_duplicates", "exact_duplicates") for set_ in lab.info[kind]["sets"]]
print("RESULT" + json.dumps(sets))
"""


@dataclass
class Bench:
    """What is measured on, and where lines go."""

    data: Path
    weights: Path
    cache: Path
    rivals: Path | None
    work: Path | None
    lines: list[str]

    def say(self, line: str = "") -> None:
        """Print a line, and keep it."""
        print(line, flush=True)
        self.lines.append(line)

    @property
    def options(self) -> dict[str, Any]:
        """What all calls take."""
        return {"base": BASE, "weights": str(self.weights / WEIGHTS), "cache": self.cache}

    def load(self, data: Path | str) -> Any:
        """Extract what the cache lacks, and load features, labels and paths."""
        featx.extract(data, layers=LAYER, **self.options)
        return featx.load_features(data, layer=LAYER, **self.options)

    def rival(self, script: str, *arguments: str) -> str | None:
        """Run a script in the rivals' interpreter; None, and a line, where it does not run."""
        if self.rivals is None:
            return None
        done = subprocess.run([str(self.rivals), "-c", script, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().splitlines() or ["no reason"]
            self.say(f"  (rival skipped: {reason[-1][:100]})")
            return None
        return done.stdout


def measure_duplicates(bench: Bench) -> None:
    """Recall of planted copies by kind, and groups that join several originals."""
    bench.say("1. Near-duplicates: recall of 100 planted copies of each kind; groups that join several originals")
    bench.say(f"  {'':34}" + "".join(f"{kind:>12}" for kind in CHANGES) + "         all  joined")
    for name in ("flowers17", "neu_steel"):
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "planted"
            planted = plant_copies(bench.data / name, target)
            bench.load(target)
            started = time.perf_counter()
            found = featx.inspect(target, layer=LAYER, **bench.options)
            seconds = time.perf_counter() - started
            groups = [set(group.paths) for group in found.near_duplicates]
            report_recall(bench, f"featx, {name}, {seconds:.0f} s", groups, planted)
            for distance in ("6", "10", "14"):
                output = bench.rival(IMAGEDEDUP, str(target), distance)
                if output is not None:
                    pairs = [{file, *others} for file, others in json.loads(output).items() if others]
                    report_recall(bench, f"imagededup, PHash, distance {distance}", pairs, planted)
            output = bench.rival(CLEANVISION, str(target))
            if output is not None:
                sets = [set(each) for each in json.loads(output.split("RESULT")[1])]
                report_recall(bench, "cleanvision", sets, planted)


def report_recall(bench: Bench, name: str, groups: list[set[str]], planted: list[Any]) -> None:
    """Write the recall of each kind of copy."""
    together: dict[str, set[str]] = {}
    for group in groups:
        for path in group:
            together.setdefault(path, set()).update(group)
    original_of = {str(copy.copy): str(copy.original) for copy in planted}
    hits: dict[str, list[bool]] = {kind: [] for kind in CHANGES}
    for copy in planted:
        hits[copy.kind].append(str(copy.original) in together.get(str(copy.copy), set()))
    joined = sum(len({original_of.get(path, path) for path in group}) > 1 for group in groups)
    cells = "".join(f"{np.mean(hits[kind]):12.2f}" for kind in CHANGES)
    overall = np.mean([hit for kind in hits for hit in hits[kind]])
    bench.say(f"  {name:34}{cells}{overall:12.3f}{joined:8}")


@dataclass(frozen=True)
class Rated:
    """One draw of flipped labels: average precisions by name of the ranking, and estimates over the true number."""

    precision: dict[str, float]
    estimated: dict[str, float]


def measure_labels(bench: Bench) -> None:
    """Average precision of the ranking, and the estimated number, for flipped labels."""
    bench.say(
        f"2. Flipped labels, means of {DRAWS} draws: average precision of the ranking; estimated over true number"
    )
    for name in ("flowers17", "neu_steel", "hymenoptera"):
        data = bench.load(bench.data / name)
        for share in (0.05, 0.1):
            for how in ("at random", "confused"):
                rated = [
                    rate_rankings(bench, data, flip_labels(data.X, data.y, share, how, SEED + draw))
                    for draw in range(DRAWS)
                ]
                precision = ", ".join(
                    f"{kind} {np.mean([each.precision[kind] for each in rated]):.3f}" for kind in rated[0].precision
                )
                estimated = ", ".join(
                    f"{kind} {np.mean([each.estimated[kind] for each in rated]):.2f}" for kind in rated[0].estimated
                )
                bench.say(f"  {name:12} {share:4.0%} {how:10} {precision}; estimated {estimated}")


def rate_rankings(bench: Bench, data: Any, labels: NDArray[np.intp]) -> Rated:
    """Rate our ranking and estimate, and cleanlab's on the same probabilities."""
    probabilities = judge(data.X, labels)
    wrong = labels != data.y
    ours = find_suspect_labels(probabilities, labels)
    precision = {"featx": float(average_precision_score(wrong, -ours.log_odds))}
    estimated = {"featx": ours.estimated / wrong.sum()}
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file.name, p=probabilities, y=labels)
        output = bench.rival(CLEANLAB, file.name)
    if output is not None:
        *rankings, count = output.strip().splitlines()
        for kind, line in zip(("self-confidence", "margin"), rankings, strict=True):
            precision[kind] = float(average_precision_score(wrong, -np.array(line.split(), float)))
        estimated["cleanlab"] = int(count) / wrong.sum()
    return Rated(precision, estimated)


def flip_labels(
    X: NDArray[np.float32], y: NDArray[np.intp], share: float, how: str, seed: int = SEED
) -> NDArray[np.intp]:
    """Flip a share of labels: to any other class, or to the one that is most probable after the true one."""
    rng = np.random.default_rng(seed)
    flipped = rng.choice(len(y), round(share * len(y)), replace=False)
    labels = y.copy()
    if how == "at random":
        labels[flipped] = (y[flipped] + rng.integers(1, y.max() + 1, len(flipped))) % (y.max() + 1)
        return labels
    probabilities = judge(X, y)
    confusion = np.zeros((y.max() + 1, y.max() + 1))
    np.add.at(confusion, y, probabilities)
    np.fill_diagonal(confusion, -1)
    labels[flipped] = confusion[y[flipped]].argmax(axis=1)
    return labels


def judge(X: NDArray[np.float32], y: NDArray[np.intp]) -> NDArray[np.float64]:
    """Give out-of-fold probabilities as `featx inspect` does."""
    classifier = CLASSIFIERS["logreg"]
    assert isinstance(classifier, Linear)
    folds = make_folds(y, np.arange(len(y)), SEED)
    params = (
        score_values({"logreg": classifier}, X, WeightedLabels(y, UNWEIGHTED), folds)["logreg"].choose("logreg").params
    )
    return compute_softmax(score_out_of_fold(Setting("logreg", params, SEED, DEFAULT_OPTIONS), X, y, folds))


def measure_strangers(bench: Bench) -> None:
    """How well left-out flowers and other domains are told, and what is turned away of known pictures."""
    bench.say("3. Strangers: area under the ROC curve, three flowers left out (ten draws), and other domains")
    flowers = bench.load(bench.data / "flowers17")
    others = {name: bench.load(bench.data / name).X for name in ("neu_steel", "hymenoptera")}
    others["digits"] = bench.load("digits").X
    others["odd pictures"] = load_unlabelled(bench, bench.data / "odd-images" / "ok")
    areas: dict[str, list[float]] = {"left-out flowers": [], **{name: [] for name in others}}
    turned_away: dict[float, list[float]] = {0.01: [], 0.05: [], 0.1: []}
    covered: dict[float, list[float]] = {0.8: [], 0.9: [], 0.95: []}
    sizes: list[float] = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        left_out = rng.permutation(17)[:3] if seed < 10 else np.zeros(0, int)
        is_known = ~np.isin(flowers.y, left_out)
        rows = rng.permutation(np.flatnonzero(is_known))
        test, train = rows[: len(rows) // 4], rows[len(rows) // 4 :]
        _, y = np.unique(flowers.y[is_known], return_inverse=True)
        codes = np.zeros(len(flowers.y), np.intp)
        codes[is_known] = y
        folds = make_folds(codes[train], np.arange(len(train)), SEED)
        known = fit_known_classes(flowers.X[train], codes[train], folds)
        of_test = known.rate(flowers.X[test])
        for rate in turned_away:
            turned_away[rate].append(float((of_test > 1 - rate).mean()))
        strange = {"left-out flowers": flowers.X[~is_known], **others} if seed < 10 else {}
        for name, X in strange.items():
            truth = np.r_[np.zeros(len(test)), np.ones(len(X))]
            areas[name].append(float(roc_auc_score(truth, np.r_[of_test, known.rate(X)])))
        probabilities, of_train = predict_sets(flowers.X, codes, train, test)
        sets = PredictionSets.calibrate(of_train, codes[train])
        assert sets is not None
        for coverage in covered:
            chosen = sets.choose(probabilities, coverage)
            covered[coverage].append(float(chosen[np.arange(len(test)), codes[test]].mean()))
        sizes.append(float(sets.choose(probabilities, 0.9).sum(axis=1).mean()))
    for name, values in areas.items():
        bench.say(f"  {name:18} {np.mean(values):.3f} (least {min(values):.3f})")
    for rate, values in turned_away.items():
        bench.say(
            f"  --reject {rate:4} turns away {np.mean(values):.3f} of known pictures (deviation {np.std(values):.3f})"
        )
    for coverage, values in covered.items():
        held = f"{np.mean(values):.3f} (20 splits, deviation {np.std(values):.3f})"
        bench.say(f"  --set {coverage:4} holds the true class {held}")
    bench.say(f"  classes of a set of 0.9: {np.mean(sizes):.2f}")


def load_unlabelled(bench: Bench, folder: Path) -> NDArray[np.float32]:
    """Load features of pictures without classes."""
    data = bench.load(folder)
    return np.asarray(data.X)


def predict_sets(
    X: NDArray[np.float32], y: NDArray[np.intp], train: NDArray[np.intp], test: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give probabilities of test rows, and of training rows out of fold."""
    from featx.classifiers.out_of_fold import train_once

    classifier = CLASSIFIERS["logreg"]
    assert isinstance(classifier, Linear)
    folds = make_folds(y[train], np.arange(len(train)), SEED)
    params = score_values({"logreg": classifier}, X[train], WeightedLabels(y[train], UNWEIGHTED), folds)[
        "logreg"
    ].choose("logreg")
    setting = Setting("logreg", params.params, SEED, DEFAULT_OPTIONS)
    fitted = train_once(setting, X[train], np.arange(len(train)), y[train])
    of_train = compute_softmax(score_out_of_fold(setting, X[train], y[train], folds))
    return compute_softmax(fitted.scores(X[test])), of_train


def measure_maps(bench: Bench) -> None:
    """Exactness of maps, and whether the evidence lies where a picture was pasted."""
    bench.say(
        "4. Maps of evidence: mean plus intercept against the score, and pictures pasted into a corner of a grey canvas"
    )
    options = bench.options
    data = bench.load(bench.data / "flowers17")
    for layer in (LAYER, f"blocks.4+{LAYER}"):
        featx.extract(bench.data / "flowers17", layers=layer.split("+"), **options)
        model = featx.fit(bench.data / "flowers17", layer=layer, clf="logreg", **options).model
        rng = np.random.default_rng(SEED)
        right = []
        errors = []
        with tempfile.TemporaryDirectory() as folder:
            corners = {}
            labels = {}
            for number, row in enumerate(rng.permutation(data.test)[:100].tolist()):
                canvas = Image.new("RGB", (448, 448), (124, 124, 124))
                corner = (number % 2, number // 2 % 2)
                with Image.open(data.paths[row]) as opened:
                    picture = opened.convert("RGB").resize((224, 224))
                canvas.paste(picture, (224 * corner[0], 224 * corner[1]))
                file = Path(folder) / f"{number:03}.png"
                canvas.save(file)
                corners[str(file)] = corner
                labels[str(file)] = str(data.classes[data.y[row]])
            # The score that the map must add up to is the classifier's own, of the features that extraction gives.
            featx.extract(folder, layers=layer.split("+"), **options)
            cached = featx.load_features(folder, layer=layer, **options)
            of_file = {
                str(path): scores for path, scores in zip(cached.paths, model.classifier.scores(cached.X), strict=True)
            }
            # A call for each class, since each loads the base.
            for label in sorted(set(labels.values())):
                files = [file for file in labels if labels[file] == label]
                maps = Path(folder) / "maps"
                explanations = featx.explain(model, files, out=maps, label=label, weights=options["weights"])
                for found in explanations.explained:
                    score = float(of_file[found.path][model.classes_.index(label)])
                    errors.append(abs(np.mean(found.values) + found.intercept - score) / max(1, abs(score)))
                    corner = (int(found.peak[0] > 0.5), int(found.peak[1] > 0.5))
                    right.append(corner == corners[found.path])
        bench.say(
            f"  {layer:16} difference {max(errors):.1e} of the score at most; in the right corner: {np.mean(right):.2f}"
        )


def measure_shortcuts(bench: Bench) -> None:
    """What is warned of where one class is saved otherwise."""
    bench.say("5. Shortcuts: ants and bees as they are, saved alike, and one class at another quality or size")
    with tempfile.TemporaryDirectory() as folder:
        for fault in ("as it is", "none", "quality", "size"):
            target = Path(folder) / fault
            if fault == "as it is":
                target = bench.data / "hymenoptera"
            else:
                plant_shortcut(bench.data / "hymenoptera", target, fault)
            bench.load(target)
            found = featx.inspect(target, layer=LAYER, **bench.options)
            warned = [f"{each.fact} {each.accuracy:.2f}" for each in found.shortcuts if each.is_warned]
            best = found.shortcuts[0]
            bench.say(
                f"  {fault:10} warned of: {', '.join(warned) or 'nothing'}; best fact: {best.fact} {best.accuracy:.2f}"
            )


def measure_scale(bench: Bench) -> None:
    """Seconds and memory of the whole command, on generated rows of 1,280."""
    bench.say("6. `featx inspect`, whole processes: pictures of 128 x 128, generated rows of 1,280 in ten classes")
    with tempfile.TemporaryDirectory() as folder:
        for rows in (10_000, 100_000):
            measured = measure_inspect(bench.data, bench.weights, bench.work or Path(folder), rows)
            bench.say(f"  {describe_measured(measured, rows)}")


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "duplicates": measure_duplicates,
    "labels": measure_labels,
    "strangers": measure_strangers,
    "maps": measure_maps,
    "shortcuts": measure_shortcuts,
    "scale": measure_scale,
}


def main() -> None:
    """Measure the sections that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--rivals", type=Path, help="python that has cleanlab, cleanvision and imagededup")
    parser.add_argument("--work", type=Path, help="folder that keeps the pictures and rows which are generated")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    bench = Bench(arguments.data, arguments.weights, arguments.cache, arguments.rivals, arguments.work, [])
    bench.say(f"{BASE}, {LAYER}, averaged; seed {SEED}")
    for name in arguments.only:
        SECTIONS[name](bench)
    if arguments.out:
        arguments.out.write_text("\n".join(bench.lines) + "\n")


if __name__ == "__main__":
    main()
