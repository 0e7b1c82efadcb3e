"""What `make setup` installs is listed whole, with hashes, and without what reports to anybody."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

LEFT_OUT = "openvino-telemetry"
"""What openvino asks for and runs without."""


def locked() -> list[tuple[Requirement, list[str]]]:
    """Every requirement of constraints.txt, with its hashes."""
    text = re.sub(r"^#.*\n", "", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    entries = []
    for entry in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = entry.split("--hash=")
        entries.append((Requirement(requirement.strip()), [digest.strip() for digest in hashes]))
    return entries


def versions() -> dict[str, Version]:
    """Versions that are locked for this Python on this machine."""
    return {
        canonicalize_name(requirement.name): Version(str(requirement.specifier).removeprefix("=="))
        for requirement, _ in locked()
        if requirement.marker is None or requirement.marker.evaluate()
    }


def needed(requirement: Requirement, seen: set[str]) -> Iterator[Requirement]:
    """A requirement, and all that what it names requires in turn."""
    if requirement.name == PROJECT["name"]:
        listed = [text for extra in requirement.extras for text in PROJECT["optional-dependencies"][extra]]
    else:
        yield requirement
        try:
            listed = requires(requirement.name) or []
        except PackageNotFoundError:
            return
    if str(requirement) in seen:
        return
    seen.add(str(requirement))
    for inner in map(Requirement, listed):
        extras = requirement.extras or {""}
        if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
            yield from needed(inner, seen)


def test_every_package_is_pinned_by_the_hashes_of_its_files() -> None:
    entries = locked()
    assert len(entries) > 50
    for requirement, hashes in entries:
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


def test_whatever_the_tests_and_the_build_need_is_pinned_with_all_that_it_needs() -> None:
    pinned = versions()
    asked = [*PROJECT["dependencies"], f"{PROJECT['name']}[dev]", "hatchling", "editables"]
    seen: set[str] = set()
    missing = set()
    for requirement in (inner for text in asked for inner in needed(Requirement(text), seen)):
        name = canonicalize_name(requirement.name)
        if name not in pinned or not requirement.specifier.contains(pinned[name], prereleases=True):
            missing.add(str(requirement))
    assert {Requirement(text).name for text in missing} <= {LEFT_OUT}, "run `make lock`"


def test_what_reports_to_its_makers_is_not_installed_and_no_index_is_named() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert LEFT_OUT not in {canonicalize_name(requirement.name) for requirement, _ in locked()}
    assert "://" not in text
    assert "--index" not in text
