"""Names of files, classes, layers and labels that act on terminals, break tables or start programs in spreadsheets.

Whatever they hold, stdout and stderr show it escaped, tables keep their rows, and JSON and CSV hold the exact names.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from tests.conftest import picture
from tests.hostile.harness import STRESS, Harness, Outcome

pytestmark = [pytest.mark.slow, pytest.mark.stress]

NAMES = {
    "red": "\x1b[31mred",
    "cleared screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;title\x07",
    "link": "\x1b]8;;http:evil\x1b\\ants\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "query": "\x1b[6n\x1b[c",
    "device control": "\x1bP$q\x1b\\",
    "another character set": "\x1b(0lqk\x0e",
    "bell": "ding\x07dong",
    "backspaces": "ants\b\b\b\bbees",
    "carriage return": "ants\rbees",
    "line end": "ants\nbees",
    "several line ends": "\n\nants\n",
    "both line ends": "ants\r\nbees",
    "tab": "ants\tbees",
    "tab first": "\tants",
    "return first": "\rants",
    "vertical tab and form feed": "ants\x0b\x0cbees",
    "file separators": "a\x1c\x1d\x1e\x1fb",
    "delete": "ants\x7f\x7f",
    "C1 control sequence": "\x9b31mants",
    "C1 next line": "ants\x85bees",
    "C1 string": "\x90$q\x9c\x9d0;t\x9c",
    "line separator": "ants\u2028bees\u2029",
    "right to left": "ants\u202egpj.exe",
    "embedding": "\u202aants\u202c",
    "isolates": "\u2066ants\u2067bees\u2069",
    "marks of direction": "a\u200en\u200ft\u061cs",
    "zero width": "a\u200bn\u200ct\u200ds",
    "byte order mark": "\ufeffants",
    "word joiner": "an\u2060ts\u2063",
    "soft hyphen": "an\u00adts",
    "tags": "ants\U000e0041\U000e007f",
    "interlinear": "\ufff9ants\ufffabees\ufffb",
    "formula": "=cmd|' C calc'!A1",
    "formula of a link": '=HYPERLINK("http:evil","ants")',
    "formula with plus": "+1+cmd|'calc'!A1",
    "formula with minus": "-2+3+cmd|'calc'!A1",
    "formula with at": "@SUM(1+1)*cmd|'calc'!A1",
    "formula behind apostrophes": "''=1+1",
    "formula in wide letters": "\uff1d1+1",
    "quotes and commas": 'a"b",c;d',
    "pipes": "a|b|c",
    "brackets": "[red]ants[blink]{0}%s%n",
    "not UTF-8": "ants\udcff\udc9b31m",
    "Persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "long": "x" * 200,
    "all at once": "=\x1b[31m\x07a\rb\nc\td\x7f\x9b\x85\u2028\u202ee\u200bf\u200cg\ufeff'\";,|h",
}
"""What is odd about a name, and the name; no slash, so that each may be a folder."""

NAMES_OF_A_SHORT_RUN = ["all at once", "line end", "return first", "not UTF-8", "Persian"]

WANTED = [pytest.param(name, id=what) for what, name in NAMES.items() if STRESS or what in NAMES_OF_A_SHORT_RUN]

HARMLESS = re.compile("(?<=[^\x00-\x7f])[\u200c\u200d]")
"""Joiners that a script needs."""

HIDING = "\u00ad\u180e"
"""Characters of no width that Unicode counts with others."""


def find_raw(text: str) -> list[str]:
    """List the characters of an output that act on a terminal or are not seen."""
    raw = []
    for character in HARMLESS.sub("", text):
        category = unicodedata.category(character)
        is_byte = "\udc80" <= character <= "\udc9f"
        if character not in "\n\t" and (category in ("Cc", "Cf", "Zl", "Zp") or is_byte or character in HIDING):
            raw.append(f"{character!a} in {text[:2000]!a}")
    return raw


def check(outcome: Outcome, code: int = 0) -> Outcome:
    """Expect a command to do its work, and to show nothing raw."""
    outcome.check()
    assert outcome.code == code, outcome
    assert find_raw(outcome.stdout) == []
    assert find_raw(outcome.stderr) == []
    # No tab but of our own layout, which has none.
    assert "\t" not in outcome.stdout + outcome.stderr
    return outcome


def make_photos(root: Path, name: str) -> Path:
    """Make two classes, one of the name; files have the name, too."""
    for hue, label in enumerate((name, "plain")):
        (root / label).mkdir(parents=True)
        for number in range(6):
            picture(hue * 10 + number, hue).save(root / label / f"{number}{name[:80]}.png")
    return root


def count_lines(table: str) -> int:
    """Count the lines of a table below its rule."""
    lines = table.splitlines()
    (rule,) = [place for place, line in enumerate(lines) if set(line) == {"-", " "}]
    return len(lines) - rule - 1


def unescape(cell: str) -> str:
    """Read text of a CSV file as the README says."""
    return cell[1:] if re.match(r"'+[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]", cell) else cell


def read_csv(file: Path) -> list[list[str]]:
    """Read rows, and check that no cell is a formula."""
    text = file.read_bytes().decode(errors="surrogateescape")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    for row in rows:
        for cell in row:
            assert not re.match(r"[=+\-@\t\r\n]", cell) or re.fullmatch(r"[+-]?[\d.e+-]*", cell), row
    assert len({len(row) for row in rows}) == 1
    return rows


TINY = Path(__file__).parents[2] / "featx" / "bases" / "pretrained" / "tiny-cifar100.safetensors"
BASE = ("-b", "tiny", "-l", "layer4")


@pytest.mark.parametrize("name", WANTED)
def test_names_of_files_and_folders(harness: Harness, tmp_path: Path, name: str) -> None:
    photos = make_photos(tmp_path / "photos", name)
    (photos / name / f"{name[:80]}.jpg").write_bytes(b"no picture")
    model, cache = tmp_path / "model.featx", ("--cache", tmp_path / "cache")
    failed = check(harness.run("extract", photos, *BASE, *cache), 1)
    assert "12 extracted" in failed.stdout
    (line,) = [line for line in failed.stderr.splitlines() if line.startswith("failed: ")]
    assert line.startswith(f"failed: {tmp_path}")
    check(harness.run("fit", photos, *BASE, *cache, "--clf", "logreg", "--out", model))
    table = check(harness.run("compare", photos, "-b", "tiny", *cache, "--csv", tmp_path / "table.csv"))
    assert len(read_csv(tmp_path / "table.csv")) == 4
    assert len(table.stdout.split("\n\n")[0].splitlines()) == 5
    labels = tmp_path / "labels.csv"
    words = ("predict", model, photos, "--csv", labels)
    text = check(harness.run(*words), 1)
    assert count_lines(text.stdout) == 12
    entries = json.loads(check(harness.run(*words, "--json", "-q"), 1).stdout)
    assert len(entries) == 13
    paths = sorted(str(path) for path in photos.glob("*/*"))
    assert sorted(entry["path"] for entry in entries) == paths
    assert {entry["label"] for entry in entries} <= {name, "plain", None}
    rows = read_csv(labels)
    assert [[unescape(cell) for cell in row[:2]] for row in rows[1:]] == [
        [entry["path"], entry["label"] or ""] for entry in entries
    ]
    assert {f"p({name})", "p(plain)"} <= set(rows[0])
    scored = check(harness.run("score", model, photos, "--split", "all", "--csv", tmp_path / "scored.csv"), 1)
    assert "true \\ predicted" in scored.stdout
    assert len(read_csv(tmp_path / "scored.csv")) == 14
    export = ("cache", "export", photos, *BASE, *cache, "--out", tmp_path / f"{name[:80]}.h5")
    check(harness.run(*export))


@pytest.mark.parametrize("name", WANTED)
def test_names_on_the_command_line(harness: Harness, tmp_path: Path, name: str) -> None:
    missing = tmp_path / name
    for words in (
        ("extract", missing, *BASE),
        ("extract", tmp_path, "-b", name, "-l", "layer4"),
        ("extract", tmp_path, *BASE, "--device", name),
        ("predict", missing, missing),
        ("layers", name),
        ("run", missing),
        ("compare", tmp_path, "-b", "tiny", f"--sort={name}", "--cache", tmp_path / "cache"),
        ("cache", "rm", f"-{name}", "--cache", missing),
        ("cache", "verify", f"--{name}"),
        (name,),
    ):
        outcome = harness.run(*words).check()
        assert find_raw(outcome.stdout + outcome.stderr) == [], words
        assert outcome.code in (0, 1, 2), words


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("name", WANTED)
def test_labels_of_a_table(harness: Harness, tmp_path: Path, name: str, kind: str) -> None:
    make_photos(tmp_path / "photos", "dull")
    paths = sorted((tmp_path / "photos").glob("*/*.png"))
    rows = [(str(path.relative_to(tmp_path)), name if path.parent.name == "dull" else "plain") for path in paths]
    table = tmp_path / f"photos.{kind}"
    if kind == "csv":
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("path", "label"), *rows])
        content = text.getvalue()
    else:
        content = "".join(json.dumps({"path": path, "label": label}) + "\n" for path, label in rows)
    table.write_bytes(content.encode(errors="surrogateescape"))
    cache = ("--cache", tmp_path / "cache")
    extracted = harness.run("extract", table, *BASE, *cache).check()
    assert find_raw(extracted.stdout + extracted.stderr) == []
    if extracted.code:
        # A label that is refused is one line.
        assert extracted.stderr.startswith("error: ")
        assert extracted.stderr.count("\n") == 1
        return
    fitted = harness.run("fit", table, *BASE, *cache, "--clf", "svm", "--out", tmp_path / "m.featx").check()
    assert find_raw(fitted.stdout + fitted.stderr) == []
    if fitted.code:
        assert fitted.stderr.splitlines()[-1].startswith("error: ")
        return
    check(harness.run("compare", table, "-b", "tiny", *cache, "--clf", "logreg", "--markdown"))
    predicted = check(harness.run("predict", tmp_path / "m.featx", table, "--csv", tmp_path / "labels.csv"))
    assert count_lines(predicted.stdout) == 12
    assert len(read_csv(tmp_path / "labels.csv")) == 13
    entries = json.loads(check(harness.run("predict", tmp_path / "m.featx", table, "--json", "-q")).stdout)
    assert {entry["label"] for entry in entries} <= {name.strip(), "plain"}
    check(harness.run("cache", "export", table, *BASE, *cache, "--out", tmp_path / "photos.h5"))


def rename_class(model: Path, name: str) -> None:
    """Put a name into a model file, whatever `fit` would have said to it."""
    arrays = load_file(model)
    raw = model.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    facts = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["featx"])
    facts["classes"] = [name, "plain"]
    facts["scores"] = {name: 1.0, **facts.get("scores", {})}
    facts["source"] = name
    save_file(arrays, model, {"featx": json.dumps(facts)})


@pytest.fixture(scope="module")
def fitted(harness: Harness) -> tuple[Path, Path]:
    """A model and photos, fitted once."""
    photos = make_photos(harness.folder / "photos", "dull")
    cache = ("--cache", harness.folder / "cache")
    check(harness.run("extract", photos, *BASE, *cache))
    check(harness.run("fit", photos, *BASE, *cache, "--clf", "logreg", "--out", harness.folder / "m.featx"))
    return photos, harness.folder / "m.featx"


@pytest.mark.parametrize("name", WANTED)
def test_names_in_a_model(harness: Harness, fitted: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    photos, original = fitted
    model = tmp_path / "model.featx"
    model.write_bytes(original.read_bytes())
    rename_class(model, name)
    for words in (("predict", model, photos), ("score", model, photos, "--split", "all")):
        outcome = harness.run(*words, "--csv", tmp_path / "labels.csv").check()
        assert find_raw(outcome.stdout + outcome.stderr) == []
        if outcome.code:
            assert outcome.stderr.splitlines()[-1].startswith("error: ")
            continue
        # Images of a class that the model does not know are not scored.
        assert len(read_csv(tmp_path / "labels.csv")) == (13 if words[0] == "predict" else 7)
        if words[0] == "predict":
            assert count_lines(outcome.stdout) == 12
            entries = json.loads(harness.run(*words, "--json", "-q").check().stdout)
            assert {key for entry in entries for key in entry["probabilities"]} == {name, "plain"}


@pytest.mark.parametrize("name", WANTED)
def test_names_in_weights_and_in_the_cache(
    harness: Harness, fitted: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    photos, _ = fitted
    weights = tmp_path / f"{name[:80]}.safetensors"
    tensors = load_file(TINY)
    cache = ("--cache", tmp_path / "cache")
    try:
        save_file({**tensors, f"extra.{name}": np.ones(3, np.float32)}, weights)
    except Exception:
        # The library itself refuses names that are not Unicode.
        save_file(tensors, weights)
    words = ("extract", photos, *BASE, *cache, "--weights", weights)
    outcome = harness.run(*words).check()
    assert find_raw(outcome.stdout + outcome.stderr) == []
    listed = check(harness.run("cache", "ls", *cache))
    if outcome.code == 0:
        assert count_lines(listed.stdout) == 1
        printed = json.loads(check(harness.run("cache", "ls", *cache, "--json")).stdout)
        assert printed[0]["source"] == weights.name
    (stray,) = [(tmp_path / "cache" / f"{name[:80]}.x")]
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("stray")
    verified = harness.run("cache", "verify", *cache).check()
    assert find_raw(verified.stdout + verified.stderr) == []


NETWORK = """
import torch
NAME = {name!r}
def stages():
    torch.manual_seed(0)
    return [(NAME, torch.nn.Conv2d(3, 4, 3, stride=4)), ("last", torch.nn.Conv2d(4, 4, 3, stride=2))]
"""


@pytest.mark.parametrize("name", WANTED)
def test_names_of_layers(harness: Harness, fitted: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    photos, _ = fitted
    network = tmp_path / "net.py"
    network.write_text(NETWORK.format(name=name.encode(errors="surrogateescape").decode(errors="replace")))
    cache = ("--cache", tmp_path / "cache")
    for words in (
        ("layers", network),
        ("extract", photos, "-b", network, "-l", "last", *cache),
        ("extract", photos, "-b", network, "-l", name, *cache),
        ("extract", photos, "-b", network, "-l", "nothing", *cache),
        ("compare", photos, "-b", network, "--clf", "logreg", "--csv", tmp_path / "table.csv", *cache),
        ("compare", photos, "-b", network, "--clf", "logreg", "--markdown", *cache),
        ("advise", photos, "-b", network, *cache),
        ("cache", "ls", *cache),
    ):
        outcome = harness.run(*words).check("exec")
        assert find_raw(outcome.stdout + outcome.stderr) == [], words
        if words[0] == "layers" and outcome.code == 0:
            assert count_lines(outcome.stdout.split("\n\n")[0]) == 2
    if (tmp_path / "table.csv").exists():
        read_csv(tmp_path / "table.csv")


def with_exif(file: Path, text: str) -> None:
    """Write a picture whose EXIF and comments hold a text."""
    image = Image.new("RGB", (40, 40))
    exif = image.getexif()
    exif[0x010E] = text.encode(errors="replace").decode()
    image.save(file, exif=exif, comment=text.encode(errors="replace"))


def with_text_chunks(file: Path, text: str) -> None:
    """Write a picture that is cut short, and whose text chunks hold a text."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("Comment", text.encode(errors="replace").decode())
    Image.new("RGB", (40, 40)).save(file, pnginfo=info)
    file.write_bytes(file.read_bytes()[:-30])


def as_dicom(file: Path, text: str) -> None:
    """Write a DICOM picture whose kind and values are a text."""
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.PatientName = text.encode(errors="replace").decode()
    dataset.PhotometricInterpretation = text.encode("ascii", errors="replace").decode()[:16]
    dataset.Rows = dataset.Columns = 4
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.SamplesPerPixel, dataset.PixelRepresentation = 15, 1, 0
    dataset.PixelData = bytes(32)
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    dataset.save_as(file, enforce_file_format=True)


MAKERS: dict[str, Callable[[Path, str], None]] = {"jpg": with_exif, "png": with_text_chunks, "dcm": as_dicom}


@pytest.mark.parametrize("suffix", MAKERS)
@pytest.mark.parametrize("name", WANTED)
def test_texts_in_pictures(harness: Harness, tmp_path: Path, name: str, suffix: str) -> None:
    (tmp_path / "photos").mkdir()
    MAKERS[suffix](tmp_path / "photos" / f"a.{suffix}", name)
    outcome = harness.run("extract", tmp_path / "photos", *BASE, "--cache", tmp_path / "cache", "-v").check()
    assert find_raw(outcome.stdout + outcome.stderr) == []


def test_the_corpus_is_large_enough() -> None:
    assert len(NAMES) >= 40
    assert os.sep not in "".join(NAMES.values())
