"""Builds what a release consists of, and checks it as those who install it would: `make release-check`.

    python .ci/release_check.py [--python python3.11 --python python3.13] [--lowest]

Builds the source distribution and the wheel, has twine check them, compares what is in them with what must be, installs
the wheel into an empty environment of each Python, asks pip whether all fits together, runs the demo from there, says
how large the environment is, and does the same with the source distribution.
With `--lowest` there is one more environment, of the oldest versions that pyproject.toml allows, extras included.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"

IN_WHEEL = ("featx/__init__.py", "featx/py.typed", "featx/constraints.txt", "featx/pipelines/digits.toml")
"""Files that a wheel must hold, beside the code."""

IN_SOURCE = (
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE",
    "pyproject.toml",
    "constraints.txt",
    "tests/conftest.py",
)
NEVER = ("/cache/", "/shared/", "/.venv/", "/build/", ".featx", "__pycache__")
MOST_BYTES = 10_000_000
"""Of a file that is uploaded; the bundled base has 5 MB."""

DEMO = ("run", "digits")

EXTRAS = ("dicom", "handcrafted", "heif", "onnx", "openvino", "parquet", "report", "tiff", "timm")
"""Extras that those who use featx may want; the others are for work on featx itself."""

FURTHER_DEMOS = (
    ("extract", "digits", "--base", "tiny", "--layer", "layer3"),
    ("fit", "digits", "--base", "tiny", "--layer", "layer3", "--clf", "svm", "--out", "digits.featx"),
    ("export", "digits.featx", "--out", "digits.onnx"),
    ("score", "digits.featx", "digits"),
    ("report", "digits", "--base", "tiny", "--out", "report.html"),
    ("extract", "digits", "--base", "hog", "--layer", "hog"),
    ("doctor",),
)
"""What is run with the oldest versions after the demo."""


def call(*words: str | Path, cwd: Path = ROOT) -> str:
    """Run a program; end with what it said if it fails."""
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}failed with {done.returncode}")
    return done.stdout


def make_environment(folder: Path, python: str, *packages: str) -> Path:
    """Make a virtual environment with some packages; give its folder of programs."""
    call(python, "-m", "venv", folder)
    programs = folder / "bin"
    if packages:
        call(programs / "python", "-m", "pip", "install", "--quiet", *packages)
    return programs


def build(work: Path) -> tuple[Path, Path]:
    """Build wheel and source distribution into dist/, and have twine check them."""
    shutil.rmtree(DIST, ignore_errors=True)
    programs = make_environment(work / "tools", sys.executable, "build", "twine")
    call(programs / "python", "-m", "build", "--outdir", DIST)
    (wheel,) = DIST.glob("*.whl")
    (source,) = DIST.glob("*.tar.gz")
    print(call(programs / "twine", "check", "--strict", wheel, source).strip())
    return wheel, source


def check_contents(wheel: Path, source: Path) -> None:
    """Compare what is in the files with what must be."""
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = archive.namelist()
    with tarfile.open(source) as archive:
        in_source = [name.split("/", 1)[-1] for name in archive.getnames()]
    problems = [f"the wheel lacks {name}" for name in IN_WHEEL if name not in in_wheel]
    problems += [f"the wheel holds {name}" for name in in_wheel if name.startswith(("tests/", "benchmarks/"))]
    problems += [f"the source distribution lacks {name}" for name in IN_SOURCE if name not in in_source]
    for name in (*in_wheel, *in_source):
        problems += [f"{name} does not belong into a release" for part in NEVER if part in f"/{name}"]
    for file in (wheel, source):
        size = file.stat().st_size
        print(f"{file.name}: {size / 1e6:.1f} MB")
        if size > MOST_BYTES:
            problems.append(f"{file.name} has {size / 1e6:.1f} MB")
    if problems:
        sys.exit("\n".join(problems))


def run_demo(programs: Path, folder: Path) -> None:
    """Check an environment, and run the demo from an empty folder."""
    folder.mkdir()
    print(call(programs / "python", "-m", "pip", "check").strip())
    print(call(programs / "featx", "--version", cwd=folder).strip())
    table = call(programs / "featx", *DEMO, cwd=folder)
    print("\n".join(table.strip().splitlines()[:4]))


def measure(folder: Path) -> int:
    """Add up the bytes of the files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def check_installed(wheel: Path, source: Path, pythons: Sequence[str], work: Path) -> None:
    """Install wheel, then source, into an empty environment of each Python, and run the demo there."""
    for number, python in enumerate(pythons):
        print(f"== {call(python, '--version').strip()}")
        environment = work / f"env{number}"
        programs = make_environment(environment, python, str(wheel))
        print(f"installed: {measure(environment) / 1e9:.2f} GB")
        run_demo(programs, work / f"run{number}")
        call(programs / "python", "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", source)
        run_demo(programs, work / f"run{number}-source")
        shutil.rmtree(environment)


def check_lowest(wheel: Path, python: str, work: Path) -> None:
    """Do the same with the oldest versions that pyproject.toml allows, and run what extras are for."""
    print("== the oldest versions that are allowed")
    programs = make_environment(work / "lowest", python, "uv")
    # From pyproject.toml: uv takes as direct only what stands in what it is given, and of a wheel that is featx alone.
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    lowest = ("--resolution", "lowest-direct", "--only-binary", ":all:")
    listed = call(
        programs / "uv",
        "pip",
        "compile",
        "--quiet",
        "--python",
        programs / "python",
        *lowest,
        *extras,
        "pyproject.toml",
    )
    (work / "lowest.txt").write_text(listed)
    into = ("--quiet", "--python", programs / "python")
    call(programs / "uv", "pip", "install", *into, "--requirement", work / "lowest.txt")
    call(programs / "uv", "pip", "install", *into, "--no-deps", wheel)
    run_demo(programs, work / "run-lowest")
    for words in FURTHER_DEMOS:
        print("\n".join(call(programs / "featx", *words, cwd=work / "run-lowest").strip().splitlines()[-3:]))


def main() -> None:
    """Build, look into what was built, install it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", help="a Python to install into (repeatable); this one by default")
    parser.add_argument("--lowest", action="store_true", help="also with the oldest versions that are allowed")
    asked = parser.parse_args()
    pythons = asked.python or [sys.executable]
    with tempfile.TemporaryDirectory() as folder:
        wheel, source = build(Path(folder))
        check_contents(wheel, source)
        check_installed(wheel, source, pythons, Path(folder))
        if asked.lowest:
            check_lowest(wheel, pythons[0], Path(folder))
    print("the release can be made")


if __name__ == "__main__":
    main()
