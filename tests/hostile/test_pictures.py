"""Each hostile picture is a failed image with a reason, or a sound one; those beside it get their features."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import picture
from tests.hostile.harness import MOST_SECONDS, SHORT, STRESS, Harness, Outcome
from tests.hostile.pictures import PICTURES, SPECIAL_FILES

ALWAYS = (
    *("png: 1 x 60000", "png: 2 x 1000000", "png: 1 x 50000000", "ico: PNG of 10000 x 10000"),
    *("tiff: a tile of 30000 x 32000", "tiff: 12 million tags", "png: animation of 60000 x 60000"),
    *("tiff: bits that are not a number", "dcm: sequences in sequences"),
)
"""Pictures that stopped a run, or took gigabytes or minutes, before."""

TAKES_LONG = (
    *("png: profiles that unpack", "png: chunks behind the pixels", "jpeg: 30000 scans", "jpeg: 2000 scans of little"),
    *(
        "jpeg: scans of one colour",
        "jpeg: comments without a letter",
        "jpeg: fill bytes",
        "jpeg: EXIF in 2000 segments",
    ),
    *("gif: comments without a letter", "gif: comments of a letter", "gif: junk before the frame"),
    *("bmp: runs of a pixel", "bmp: runs without a header", "ppm: numbers in letters", "ppm: bits in letters"),
    *("ppm: comments in numbers", "ppm: a comment of 100 MB", "ppm: a maximum of 100", "ppm: 16 bits"),
    *("jp2: precincts of two pixels", "jp2: boxes of nothing", "jp2: 65535 layers", "dcm: elements of nothing"),
)
"""Pictures that are given up after 20 seconds, or take nearly as long: in the whole run only."""

WORST = (
    *("png: 10100 x 10100 of 32 bits", "png: animation of 10000 x 10000", "png: texts that unpack"),
    *("png: two headers", "png: 1 x 60000", "png: 2 x 1000000", "jpeg: 65500 x 1600", "jpeg: pages without end"),
    *("gif: frame of 10000 x 10000 to be disposed of", "tiff: a tile of 30000 x 32000", "tiff: 12 million tags"),
    *("tiff: a deflated tile of 28512 x 28512", "tiff: LZMA with a dictionary of 1.5 GB", "tiff: a tag of 100 MB"),
    *("ico: PNG of 10000 x 10000", "ico: BMP of 9000 x 18000", "ico: animated PNG", "bmp: 10000 x -10000 cut off"),
    *("ppm: floats of 10000 x 10000", "webp: a canvas of 10000 x 10000"),
    *(
        "webp: a canvas of 16384 x 16384",
        "jp2: 65025 tiles",
        "jp2: 16384 colours",
    ),
    *("avif: 6000 x 6000", "tga: runs of 10000 x 10000", "pcx: runs of 10000 x 10000", "sgi: runs at one place"),
    *("sgi: 16 bits", "dcm: 65535 x 65535", "dcm: a large JPEG in a small picture", "jpg: zeros"),
)
"""Those of every format that take the most memory, or took it before."""

WORKERS = 8
STARTS_A_PROCESS = "subprocess.Popen"
"""What is not plain is decoded by a process, which is this Python's own and named nowhere in the picture."""


def choose(names: dict[str, object], *always: str) -> list[str]:
    """Take all cases, or every fifth of them that is quick, and those that failed before."""
    if STRESS:
        return list(names)
    quick = [name for name in names if name not in TAKES_LONG]
    return [name for place, name in enumerate(quick) if place % SHORT == 0 or name in always]


def extract(
    harness: Harness, folder: Path, cache: Path, seconds: float = MOST_SECONDS, decode: str = "exact"
) -> Outcome:
    # The size of most bases, by which elongated pictures grow most.
    size = ("--resize", 232, "--crop", 224, "--decode", decode)
    options = ("-b", "tiny", "-l", "layer4", *size, "--workers", WORKERS, "--json", "--cache", cache)
    return harness.run("extract", folder, *options, seconds=seconds).check(STARTS_A_PROCESS)


def make_folder(folder: Path, name: str, write: Callable[[Path], object]) -> Path:
    """Two sound photos of a class each, and a hostile one beside them."""
    for hue, label in enumerate(("a", "b")):
        (folder / label).mkdir(parents=True)
        picture(hue, hue).save(folder / label / "sound.png")
    write(folder / "a" / name)
    return folder


def check_report(outcome: Outcome, name: str, case: str) -> None:
    report = json.loads(outcome.stdout)
    reasons = [failed["reason"] for failed in report["failed"] if failed["path"].endswith(name)]
    assert report["extracted"] == (2 if reasons or case == "a folder" else 3)
    assert all(reasons)
    assert all("\n" not in reason for reason in reasons)
    assert outcome.code == (1 if report["failed"] else 0)


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.parametrize("case", choose(PICTURES, *ALWAYS))
def test_a_hostile_picture_stops_nothing(case: str, harness: Harness, tmp_path: Path) -> None:
    suffix, make = PICTURES[case]
    if suffix == "heic":
        pytest.importorskip("pillow_heif")
    name = f"hostile.{suffix}"
    folder = make_folder(tmp_path / "photos", name, lambda path: path.write_bytes(make()))
    outcome = extract(harness, folder, tmp_path / "cache")
    (folder / "a" / name).unlink()
    check_report(outcome, name, case)


@pytest.mark.slow
@pytest.mark.parametrize("case", SPECIAL_FILES)
def test_what_is_no_regular_file_is_neither_read_nor_waited_for(case: str, harness: Harness, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", "hostile.png", SPECIAL_FILES[case])
    outcome = extract(harness, folder, tmp_path / "cache")
    assert outcome.seconds < 10
    check_report(outcome, "hostile.png", case)


@pytest.fixture(scope="module")
def model(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two classes of four photos each."""
    folder = tmp_path_factory.mktemp("model")
    for hue, label in enumerate(("a", "b")):
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(4):
            picture(10 * hue + number, hue).save(folder / "photos" / label / f"{number}.png")
    options = ("-b", "tiny", "-l", "layer4", "--cache", folder / "cache")
    harness.run("extract", folder / "photos", *options).check()
    harness.run("fit", folder / "photos", *options, "--clf", "logreg", "--out", folder / "m.featx").check()
    return folder / "m.featx"


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.parametrize("case", choose(dict.fromkeys(ALWAYS) | SPECIAL_FILES, "a pipe", "zeros without end"))
def test_predict_names_what_it_cannot_read(case: str, model: Path, harness: Harness, tmp_path: Path) -> None:
    suffix, make = PICTURES.get(case, ("png", None))
    hostile = tmp_path / f"hostile.{suffix}"
    if make is None:
        SPECIAL_FILES[case](hostile)
    else:
        hostile.write_bytes(make())
    picture(1, 1).save(tmp_path / "sound.png")
    images = (hostile, tmp_path / "sound.png")
    outcome = harness.run("predict", model, *images, "--workers", WORKERS, "--json").check(STARTS_A_PROCESS)
    entries = json.loads(outcome.stdout)
    # An empty folder stands for no image.
    assert len(entries) == (1 if hostile.is_dir() else 2)
    assert outcome.code == sum(entry["label"] is None for entry in entries)


@pytest.mark.slow
@pytest.mark.stress
def test_the_worst_pictures_of_every_format_at_once_take_less_than_a_gigabyte(harness: Harness, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", "folder", lambda path: path.mkdir())
    cases = [case for case in (PICTURES if STRESS else WORST) if PICTURES[case][0] != "heic"]
    for number, case in enumerate(cases):
        suffix, make = PICTURES[case]
        (folder / "a" / f"{number:03}.{suffix}").write_bytes(make())
    # Each may take 20 seconds: memory is what is shown here.
    outcome = extract(harness, folder, tmp_path / "cache", seconds=1200)
    report = json.loads(outcome.stdout)
    assert report["extracted"] + report["duplicates"] + len(report["failed"]) >= len(cases)


def large_progressive() -> bytes:
    """A sound file of 55 megapixels: libjpeg keeps the numbers of all pixels, however small it decodes them."""
    file = io.BytesIO()
    Image.new("RGB", (11_000, 5_000), (90, 120, 30)).save(file, "JPEG", progressive=True)
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.stress
def test_what_is_decoded_small_takes_no_more_than_it_may_either(harness: Harness, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", "folder", lambda path: path.mkdir())
    cases = [case for case, (suffix, _) in PICTURES.items() if suffix == "jpeg" and (STRESS or case not in TAKES_LONG)]
    for number, case in enumerate(cases):
        (folder / "a" / f"{number:03}.jpeg").write_bytes(PICTURES[case][1]())
    data = large_progressive()
    for number in range(3):
        # Another file each, or it would be decoded once.
        (folder / "b" / f"{number}.jpeg").write_bytes(data + bytes(number))
    outcome = extract(harness, folder, tmp_path / "cache", seconds=1200, decode="scaled")
    report = json.loads(outcome.stdout)
    failed = {Path(file["path"]).name for file in report["failed"]}
    assert not failed & {"sound.png", "0.jpeg", "1.jpeg", "2.jpeg"}
    assert report["extracted"] + report["duplicates"] + len(failed) == len(cases) + 5
