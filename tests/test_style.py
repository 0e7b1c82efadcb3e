"""The numbers of the house style."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "featx").rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def body_lines(node: Function) -> int:
    documented = node.body[0] if ast.get_docstring(node) else None
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    return total - ((documented.end_lineno or 0) - documented.lineno + 1 if documented else 0)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_at_most_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_has_more_than_60_lines(path: Path) -> None:
    long = [f"{node.name} ({body_lines(node)})" for node in functions(path) if body_lines(node) > 60]
    assert not long


@pytest.mark.parametrize(
    "path", [p for p in FILES if "cli" not in p.parts], ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_function_takes_more_than_six_parameters(path: Path) -> None:
    # Commands receive one parameter a flag, and estimators one a hyper-parameter, as their frameworks ask.
    crowded = []
    for node in functions(path):
        arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        count = len([a for a in arguments if a not in ("self", "cls")])
        if count > 6 and node.name != "__init__":
            crowded.append(f"{node.name} ({count})")
    assert not crowded


def test_the_median_function_has_at_most_12_lines() -> None:
    assert statistics.median(body_lines(node) for path in FILES for node in functions(path)) <= 12
