"""Random changes of a model file: each is one of our errors, or gives finite probabilities."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featx.api.models import fit
from featx.base_choice import BaseChoice
from featx.errors import FeatxError
from featx.requests import ExtractRequest, PredictRequest
from featx.workflows.extract import extract_features
from featx.workflows.predict import label_images
from tests.hostile.harness import STRESS
from tests.hostile.model_files import Arrays, put_together, take_apart
from tests.hostile.test_harness import make_photos

pytestmark = [pytest.mark.slow, pytest.mark.stress]

MUTATIONS = 10_000 if STRESS else 300
BLOCK = 100
"""Mutations of one test, which a seed names."""

WORDS = (
    *("", "a", "tiny", "random", "CIFAR100", "evil.py", "evil.py@0123456789ab", "timm:resnet18", "resnet18", "hog"),
    *("layer1", "stem", "flat", "max", "avg+max", "cls", "float16", "bfloat16", "mlp", "logreg", "nearest", "0" * 64),
    *("/dev/zero", "w.pth", "\ud800", "\udcff", "\x1b[2J", "=1+1", "é", "a" * 300, "\0", "\n", "NaN", "../x"),
)
NUMBERS = (
    *(0, 1, -1, 2, 3, 31, 32, 33, 64, 2**31, 2**53, 2**63, 10**400, -(10**400), 0.5, -0.0, 1e-320, 1e-38, 1e-9),
    *(1e38, 3e38, 1e39, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
)
SPECIAL = (0.0, -0.0, 1e-320, 2e-38, 1e-9, 1.0, -1.0, 1e38, 3.4e38, 1e308, np.nan, np.inf, -np.inf)
"""Numbers for arrays."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="module")
def sound_models(photos: Path) -> list[bytes]:
    """One of each kind, one of several layers and views, and one that holds its base."""
    cache = photos.parent / "cache"
    layers = ("layer1", "layer4")
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny"), layers, ("avg", "max"), cache=cache, views=2))
    models = []
    for number, (layer, clf, options) in enumerate(
        (
            ("layer4", "logreg", {}),
            ("layer4", "svm", {"with_base": True}),
            ("layer1+layer4", "svm", {"views": 2, "test_views": 2}),
            ("layer1", "mlp", {"pooling": "max"}),
        )
    ):
        path = photos.parent / f"{number}.featx"
        fit(photos, base="tiny", layer=layer, clf=clf, cache=cache, **options).model.save(path)
        models.append(path.read_bytes())
    return models


def draw_value(numbers: random.Random, old: Any) -> Any:
    """Draw something for the place of a value: near it, of its kind, or of any kind."""
    kind = numbers.randrange(10)
    if kind < 3 and isinstance(old, int | float) and not isinstance(old, bool):
        return numbers.choice((old + 1, old - 1, -old, old * 2, old * 1000, float(old), str(old)))
    if kind < 5:
        return numbers.choice(NUMBERS)
    if kind < 8:
        return numbers.choice(WORDS)
    return numbers.choice((None, True, False, [], {}, [old], [old, old], {"a": old}, [[[old]]] * 3))


def list_places(value: Any) -> list[tuple[Any, Any]]:
    """List every place in nested facts: what holds it, and its name or number."""
    places: list[tuple[Any, Any]] = []
    names = list(value) if isinstance(value, dict) else range(len(value))
    for name in names:
        places.append((value, name))
        if isinstance(value[name], dict | list):
            places += list_places(value[name])
    return places


def change_facts(numbers: random.Random, facts: dict[str, Any]) -> None:
    """Change, remove, double or add something in the facts."""
    holder, name = numbers.choice(list_places(facts))
    action = numbers.randrange(8)
    if action == 0:
        del holder[name]
    elif action == 1 and isinstance(holder, list):
        holder.insert(name, holder[name])
    elif action == 2 and isinstance(holder, dict):
        holder[numbers.choice(WORDS)] = draw_value(numbers, holder[name])
    else:
        holder[name] = draw_value(numbers, holder[name])


def change_arrays(numbers: random.Random, arrays: Arrays) -> None:
    """Change numbers, shape, dtype or name of an array."""
    name = numbers.choice(sorted(arrays))
    array = arrays[name]
    action = numbers.randrange(8)
    if action == 0:
        del arrays[name]
    elif action == 1:
        arrays[numbers.choice((*WORDS[:5], "base.x", "mean", "scale", name + "x"))] = array
    elif action == 2:
        arrays[name] = array.astype(numbers.choice(("float16", "float32", "float64", "int64", "uint8")))
    elif action == 3:
        arrays[name] = numbers.choice((array[:1], array[:0], array[..., None], np.concatenate([array, array])))
    elif action == 4:
        arrays[name] = np.full_like(array, numbers.choice(SPECIAL))
    elif array.size:
        flat = array.reshape(-1)
        for _ in range(numbers.choice((1, 3, len(flat)))):
            flat[numbers.randrange(len(flat))] = numbers.choice(SPECIAL)


def change_bytes(numbers: random.Random, data: bytes) -> bytes:
    """Flip bits, cut, insert, or change the length of the header."""
    changed = bytearray(data)
    action = numbers.randrange(5)
    header = int.from_bytes(data[:8], "little")
    place = numbers.randrange(min(len(changed), header + 8) if numbers.random() < 0.7 else len(changed))
    if action == 0:
        del changed[place:]
    elif action == 1:
        changed[place:place] = numbers.randbytes(numbers.randint(1, 9))
    elif action == 2:
        changed[:8] = struct.pack("<Q", numbers.choice((0, 1, header - 1, header + 1, 2**24, 2**63, 2**64 - 1)))
    else:
        for _ in range(numbers.choice((1, 2, 20))):
            changed[numbers.randrange(place, len(changed))] ^= 1 << numbers.randrange(8)
    return bytes(changed)


def mutate(numbers: random.Random, data: bytes) -> bytes:
    """Make a changed model file."""
    if numbers.random() < 0.2:
        return change_bytes(numbers, data)
    facts, arrays = take_apart(data)
    # Most often few changes, so that many files get beyond the first check.
    for _ in range(numbers.choice((1, 1, 1, 2, 4))):
        if numbers.random() < 0.6 and facts:
            change_facts(numbers, facts)
        elif arrays:
            with np.errstate(all="ignore"):
                change_arrays(numbers, arrays)
    entries: dict[str, Any] = {}
    if numbers.random() < 0.1 and arrays:
        begin = numbers.choice((0, 8, 2**40, -1))
        shape = numbers.choice(([0], [1], [2**40], [-1], [], [2**62, 8]))
        entry = {"dtype": numbers.choice(("F64", "F32", "BF16", "I8", "X")), "shape": shape}
        entries[numbers.choice(sorted(arrays))] = {**entry, "data_offsets": [begin, begin + 8]}
    packed = put_together(facts, arrays, entries)
    return change_bytes(numbers, packed) if numbers.random() < 0.05 else packed


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("seed", range(MUTATIONS // BLOCK))
def test_a_changed_model_is_one_line_or_sound_numbers(
    seed: int, sound_models: list[bytes], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("evil.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    image = np.asarray(Image.open(photos / "red" / "0.png"))
    for number in range(BLOCK):
        numbers = random.Random(f"{seed}/{number}")
        Path("m.featx").write_bytes(mutate(numbers, numbers.choice(sound_models)))
        try:
            predictions = label_images(PredictRequest("m.featx", [image, image[::-1].copy()], device="cpu", workers=1))
        except FeatxError as error:
            message = str(error)
            assert message, number
            assert len(message.splitlines()) == 1, (number, message)
            message.encode(errors="surrogateescape")
            continue
        assert len(predictions.labelled) == 2, number
        for prediction in predictions.labelled:
            probabilities = np.array(list(prediction.probabilities.values()))
            assert np.isfinite(probabilities).all(), number
            assert abs(probabilities.sum() - 1) < 1e-4, number
        json.dumps(predictions.to_dicts(), allow_nan=False)
    assert not Path("ran").exists()
