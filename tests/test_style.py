"""The sizes of the house style, in one test each."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "featx").rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef

FRAMEWORK_ROOMS = ("cli", "api")
"""Commands receive one parameter a flag, and the Python API one a keyword."""


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def body_lines(node: Function) -> int:
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    if not ast.get_docstring(node):
        return total
    docstring = node.body[0]
    return total - ((docstring.end_lineno or 0) - docstring.lineno + 1)


def parameters(node: Function) -> list[str]:
    arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    return [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]


def test_a_file_has_at_most_400_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_functions_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} ({body_lines(node)} lines)"
        for path in FILES
        for node in functions(path)
        if body_lines(node) > 60
    ]
    assert long == []


def test_functions_take_few_parameters() -> None:
    crowded = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} ({len(parameters(node))})"
        for path in FILES
        if not set(FRAMEWORK_ROOMS) & set(path.parts)
        for node in functions(path)
        if len(parameters(node)) > 6 and node.name != "__init__"
    ]
    assert crowded == []


def test_the_median_function_has_at_most_12_lines() -> None:
    assert statistics.median(body_lines(node) for path in FILES for node in functions(path)) <= 12
