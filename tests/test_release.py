"""What surrounds the package says the same as the package: version, dependencies, recipes, workflows."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import featx

yaml = pytest.importorskip("yaml")
jinja2 = pytest.importorskip("jinja2")

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

CONDA_NAMES = {"torch": "pytorch", "xxhash": "python-xxhash"}
"""Packages that conda-forge calls otherwise."""

INSTRUCTIONS = {"FROM", "ARG", "RUN", "COPY", "USER", "WORKDIR", "ENV", "ENTRYPOINT", "CMD"}


def read_recipe() -> dict[str, Any]:
    """Read the recipe as conda does: a template first, then YAML."""
    text = (ROOT / "packaging" / "conda" / "meta.yaml").read_text(encoding="utf-8")
    template = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False).from_string(text)
    recipe: dict[str, Any] = yaml.safe_load(template.render(PYTHON="python"))
    return recipe


def read_dockerfile() -> list[tuple[str, str]]:
    """Read the instructions of the Dockerfile, each with what follows it."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_every_file_names_the_same_version() -> None:
    assert "version" in PROJECT["dynamic"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == featx.__version__
    assert read_recipe()["package"]["version"] == featx.__version__
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.search(r"^## \[(\d[^]]*)\] - (\d{4}-\d\d-\d\d)$", changes, re.MULTILINE)
    assert released is not None
    assert released[1] == featx.__version__
    assert released[2] == str(citation["date-released"])


def test_the_recipe_for_conda_asks_for_what_the_package_asks_for() -> None:
    recipe = read_recipe()
    asked = {
        CONDA_NAMES.get(need.name, need.name): str(need.specifier) for need in map(Requirement, PROJECT["dependencies"])
    }
    listed = dict(line.split() for line in recipe["requirements"]["run"])
    assert listed.pop("python") == PROJECT["requires-python"]
    assert listed == asked
    assert recipe["build"]["entry_points"] == [f"featx = {PROJECT['scripts']['featx']}"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert (ROOT / recipe["about"]["license_file"]).is_file()


def test_the_dockerfile_can_be_read_and_ends_as_no_root() -> None:
    instructions = read_dockerfile()
    assert {name for name, _ in instructions} <= INSTRUCTIONS
    assert instructions[0][0] == "FROM"
    assert re.search(r"python:3\.1[1-3]\b", instructions[0][1]), "a Python that is tested"
    for name, text in instructions:
        if name == "RUN":
            assert shlex.split(text)
        if name == "RUN" and "pip install" in text:
            assert text.count("pip install") == text.count("--no-cache-dir")
    users = [text for name, text in instructions if name == "USER"]
    assert users[-1:] == ["featx"]
    assert ("ENTRYPOINT", '["featx"]') in instructions
    extras = [
        extra
        for found in re.findall(r"/src\[([\w,]+)\]", (ROOT / "Dockerfile").read_text())
        for extra in found.split(",")
    ]
    assert extras
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def test_what_docker_copies_leaves_caches_and_environments_out() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv", "cache", "dist", "build"} <= set(ignored)


def test_workflows_call_targets_and_scripts_that_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    steps = []
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
        steps += [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert steps
    for step in steps:
        program, *words = step.split()
        if program == "make":
            assert re.search(rf"^{words[0]}:", makefile, re.MULTILINE), step
        else:
            assert (ROOT / program).is_file(), step


def test_forms_for_problems_ask_for_the_doctor() -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8"))
    assert any("featx doctor" in entry["attributes"].get("label", "") for entry in form["body"])


def test_the_small_installation_of_the_documentation_names_every_package_but_torch() -> None:
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8").replace("\\\n", "")
    (line,) = re.findall(r"^pip install (click .*)$", text, re.MULTILINE)
    needed = {Requirement(need).name for need in PROJECT["dependencies"]}
    assert set(line.split()) == needed - {"torch", "torchvision"}
