"""Python and packages, against what featx asks for and what it was tested with."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distributions, requires
from importlib.resources import files
from pathlib import Path

from featx.diagnosis.finding import Finding
from featx.errors import shorten

TOPIC = "packages"

LOCKED_PYTHONS = ((3, 11), (3, 12), (3, 13))
"""Versions of Python that constraints.txt was made for."""

REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[^\]]*\])?\s*(?P<specifier>[^;]*)(?:;(?P<marker>.*))?")
EXTRA = re.compile(r"extra\s*==\s*['\"]([\w.-]+)['\"]")
BOUND = re.compile(r"(>=|==|<=|<|>|~=|!=)\s*([\w.*+!-]+)")

MINORS_AHEAD = 15
"""By how much the minor version of torchvision is ahead of that of torch 2, which it is released with."""

DEVELOPMENT = ("dev", "bench")
"""Extras for who works on featx: that they are not installed is nothing to be known."""

WHAT_FOR = {
    "cloud": "a cache in an object store (s3://, gs://, az://)",
    "openvino": "the fastest engine on CPUs",
    "handcrafted": "hog, lbp, daisy, sift and color-histogram",
    "timm": "networks of timm",
    "heif": "HEIC photos",
    "dicom": "DICOM files",
    "tiff": "TIFF files that Pillow does not read",
    "onnx": "export to ONNX, and running it",
    "parquet": "Parquet files, and data sets that save_to_disk wrote",
    "ray": "extraction and comparison on a Ray cluster",
    "report": "HTML reports and charts",
    "docs": "building the documentation",
}
"""What each extra is for."""


@dataclass(frozen=True)
class Asked:
    """What featx asks for.

    Attributes
    ----------
    name : str
    bounds : tuple of (operator, version)
    extra : str
        The extra that asks for it; empty where every installation needs it.
    """

    name: str
    bounds: tuple[tuple[str, str], ...]
    extra: str = ""


@dataclass(frozen=True)
class Installation:
    """What is installed, and what should be.

    Attributes
    ----------
    installed : mapping of str to str
        Name of a package to its version.
    asked : sequence of Asked
        What featx asks for; empty where its own metadata are missing.
    tested : mapping of str to set of str
        Versions that were tested together; empty where they are not known.
    torch_of_torchvision : str
        The version of torch that the installed torchvision asks for; empty where it does not say.
    python : tuple of int
    """

    installed: Mapping[str, str]
    asked: Sequence[Asked]
    tested: Mapping[str, set[str]] = field(default_factory=dict)
    torch_of_torchvision: str = ""
    python: tuple[int, int] = sys.version_info[:2]


def read_installation() -> Installation:
    """Read what is installed here."""
    installed: dict[str, str] = {}
    for distribution in distributions():
        name = distribution.metadata["Name"] if distribution.metadata is not None else None
        # The first one found is the one that Python imports.
        if name:
            installed.setdefault(normalise(name), distribution.version)
    needs = [bound for item in read_asked("torchvision") if item.name == "torch" for bound in item.bounds]
    exact = [version for operator, version in needs if operator == "=="]
    return Installation(installed, read_asked("featx"), read_tested(), exact[0] if exact else "")


def read_asked(package: str) -> list[Asked]:
    """Read what an installed package asks for; nothing where it is not installed."""
    try:
        lines = requires(package) or []
    except PackageNotFoundError:
        return []
    asked = []
    for line in lines:
        match = REQUIREMENT.match(line)
        if match is None or normalise(match["name"]) == normalise(package):
            continue
        extra = EXTRA.search(match["marker"] or "")
        bounds = tuple((operator, version) for operator, version in BOUND.findall(match["specifier"]))
        asked.append(Asked(normalise(match["name"]), bounds, extra[1] if extra else ""))
    return asked


def read_tested() -> dict[str, set[str]]:
    """Read the versions that were tested together; nothing where featx came without them."""
    package = Path(str(files("featx")))
    tested: dict[str, set[str]] = {}
    # The first as installed, the second in a checkout.
    for file in (package / "constraints.txt", package.parent / "constraints.txt"):
        if file.is_file():
            for name, version in re.findall(r"^([\w.-]+)==([\w.+!-]+)", file.read_text(encoding="utf-8"), re.MULTILINE):
                tested.setdefault(normalise(name), set()).add(version)
            break
    return tested


def normalise(name: str) -> str:
    """Write the name of a package as indexes do."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_version(text: str) -> tuple[int, ...]:
    """Read the numbers of a release, without what follows them: (2, 14, 1) of "2.14.1+cu130"."""
    release = re.match(r"\d+(?:\.\d+)*", text)
    numbers = tuple(map(int, release[0].split("."))) if release else ()
    while numbers and numbers[-1] == 0:
        numbers = numbers[:-1]
    return numbers


def is_allowed(version: str, bounds: Iterable[tuple[str, str]]) -> bool:
    """Whether a version lies within bounds; those that are no comparison of numbers are taken for kept."""
    found = read_version(version)
    for operator, bound in bounds:
        limit = read_version(bound)
        if (operator == ">=" and found < limit) or (operator == "<" and found >= limit):
            return False
        if operator == "==" and "*" not in bound and found != limit:
            return False
    return True


def check_packages(installation: Installation) -> list[Finding]:
    """Compare what is installed with what featx asks for and was tested with."""
    findings = [check_python(installation)]
    if not installation.asked:
        return [
            *findings,
            Finding(TOPIC, "note", "featx is not installed, but run from a folder", "pip install --editable ."),
        ]
    needed = [asked for asked in installation.asked if not asked.extra]
    further = [asked for asked in installation.asked if asked.extra and asked.extra not in DEVELOPMENT]
    findings += check_needed(installation, needed)
    findings += check_torchvision(installation)
    findings += check_extras(installation, further)
    findings += compare_with_tested(installation, [*needed, *further])
    return findings


def check_python(installation: Installation) -> Finding:
    """Say which Python runs this, on which system."""
    version = platform.python_version()
    text = f"Python {version}, {platform.system()} {platform.machine()}"
    if installation.python in LOCKED_PYTHONS:
        return Finding("python", "ok", text)
    tested = ", ".join(f"{major}.{minor}" for major, minor in LOCKED_PYTHONS)
    return Finding("python", "note", f"{text}: tested are {tested}")


def check_needed(installation: Installation, needed: Sequence[Asked]) -> list[Finding]:
    """Name packages that are missing or too old."""
    findings = []
    for asked in needed:
        version = installation.installed.get(asked.name)
        wanted = asked.name + ",".join(f"{operator}{bound}" for operator, bound in asked.bounds)
        if version is None:
            findings.append(Finding(TOPIC, "problem", f"{asked.name} is not installed", f"pip install '{wanted}'"))
        elif not is_allowed(version, asked.bounds):
            text = f"{asked.name} {version} is not a version that featx runs with ({wanted})"
            findings.append(Finding(TOPIC, "problem", text, f"pip install '{wanted}'"))
    return findings


def check_torchvision(installation: Installation) -> list[Finding]:
    """Compare torch with the one that torchvision was built for: another one crashes or misses operators."""
    torch = installation.installed.get("torch")
    torchvision = installation.installed.get("torchvision")
    if torch is None or torchvision is None:
        return []
    wanted = installation.torch_of_torchvision
    if wanted:
        is_same = read_version(torch) == read_version(wanted)
    else:
        wanted = name_torch_of(torchvision)
        is_same = read_version(torch)[:2] == read_version(wanted)
    if is_same:
        return []
    text = f"torchvision {torchvision} was built for torch {wanted}, and torch {torch} is installed"
    return [Finding(TOPIC, "problem", text, "pip install --upgrade torch torchvision")]


def name_torch_of(torchvision: str) -> str:
    """Name the release of torch that a release of torchvision belongs to: 2.14 to 0.29, as 2.0 to 0.15."""
    minor = [*read_version(torchvision), 0, 0][1]
    return f"2.{minor - MINORS_AHEAD}"


def check_extras(installation: Installation, further: Sequence[Asked]) -> list[Finding]:
    """Name extras of which something is missing or too old."""
    findings = []
    for extra in dict.fromkeys(asked.extra for asked in further):
        of_extra = [asked for asked in further if asked.extra == extra]
        missing = [asked.name for asked in of_extra if asked.name not in installation.installed]
        old = [
            f"{asked.name} {installation.installed[asked.name]}"
            for asked in of_extra
            if asked.name in installation.installed and not is_allowed(installation.installed[asked.name], asked.bounds)
        ]
        advice = f"pip install 'featx[{extra}]'"
        purpose = WHAT_FOR.get(extra, extra)
        if old:
            findings.append(Finding(TOPIC, "problem", f"{', '.join(old)} is too old for {purpose}", advice))
        elif missing:
            verb = "is" if len(missing) == 1 else "are"
            text = f"{', '.join(missing)} {verb} not installed, for {purpose}"
            findings.append(Finding(TOPIC, "note", text, f"if you want that: {advice}"))
    return findings


def compare_with_tested(installation: Installation, asked: Sequence[Asked]) -> list[Finding]:
    """Say which packages are of the versions that were tested, and which are not."""
    if not installation.tested:
        return [Finding(TOPIC, "note", "the versions that were tested are not known here: constraints.txt is missing")]
    same = []
    other = []
    for name in dict.fromkeys(item.name for item in asked):
        version = installation.installed.get(name)
        tested = installation.tested.get(name)
        if version is None or not tested:
            continue
        # What follows a plus says for which device a package was built.
        if version.partition("+")[0] in tested:
            same.append(f"{name} {version}")
        else:
            other.append(f"{name} {version} (tested: {', '.join(sorted(tested))})")
    findings = []
    if same:
        findings.append(Finding(TOPIC, "ok", f"as tested: {shorten(same, 40)}"))
    if other:
        findings.append(Finding(TOPIC, "note", f"other versions than those tested: {shorten(other, 40)}"))
    return findings
