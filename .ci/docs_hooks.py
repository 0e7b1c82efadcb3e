"""What mkdocs asks while it builds the documentation: code and notebooks become pages, and no page fetches anything."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import click

import featx
from featx.cli.main import main

METHODS = ("fit", "transform", "predict", "predict_proba", "decision_function", "score")
"""What is shown of classes: what scikit-learn calls."""

SHIM_URL = "https://unpkg.com/iframe-worker/shim"
SHIM_FILE = "assets/iframe-worker.js"
"""Lets the search work in a page that is opened from a folder (iframe-worker 1.0.4, Martin Donath, MIT licence)."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Append the reference to its pages, and notebooks to theirs."""
    make = {"reference/commands.md": describe_commands, "reference/python.md": describe_functions}
    notebook = Path(page.file.abs_src_path).with_suffix(".ipynb")
    if notebook.is_file():
        return show_notebook(json.loads(notebook.read_text(encoding="utf-8")), markdown)
    return markdown + make.get(page.file.src_uri, str)()


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Take the one script that the theme would fetch from the site's own folder."""
    return output.replace(SHIM_URL, "../" * page.url.count("/") + SHIM_FILE)


def on_post_template(output_content: str, **_: Any) -> str:
    """Do the same in the page that says that there is none."""
    return output_content.replace(SHIM_URL, SHIM_FILE)


def describe_commands() -> str:
    """Give a section for each command: its help, as a terminal shows it."""
    with click.Context(main, info_name="featx") as context:
        return "".join(describe_command(name, context, 2) for name in main.list_commands(context))


def describe_command(name: str, above: click.Context, level: int) -> str:
    """Give the section of a command, and of those below it."""
    group = above.command
    assert isinstance(group, click.Group)
    command = group.get_command(above, name)
    assert command is not None
    with click.Context(command, info_name=name, parent=above, max_content_width=84, terminal_width=84) as context:
        sections = [f"\n\n{'#' * level} {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"]
        if isinstance(command, click.Group):
            sections += [describe_command(below, context, level + 1) for below in command.list_commands(context)]
    return "".join(sections)


def describe_functions() -> str:
    """Give a section for each function and class that `import featx` offers, and for the solvers."""
    solvers = importlib.import_module("featx.linear")
    shown = [(f"featx.{name}", getattr(featx, name)) for name in featx.__all__]
    shown += [(f"featx.linear.{name}", getattr(solvers, name)) for name in solvers.__all__]
    sections = []
    for name, thing in shown:
        if inspect.ismodule(thing):
            continue
        methods = [method for method in METHODS if hasattr(thing, method)] if inspect.isclass(thing) else []
        options = f"{{show_root_heading: false, members: {methods}, inherited_members: true, heading_level: 3}}"
        origin = f"{thing.__module__}.{thing.__name__}"
        sections.append(f"\n\n## {name}\n\n::: {origin}\n    options: {options}\n")
    return "".join(sections)


def show_notebook(notebook: dict[str, Any], note: str) -> str:
    """Give a notebook as Markdown: its texts, its code, and what the code showed; a note follows the introduction."""
    sections = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            sections.append(source)
            continue
        sections.append(f"```python\n{source}\n```")
        sections += [show_output(output) for output in cell["outputs"]]
    return "\n\n".join([sections[0], note, *sections[1:]]) + "\n"


def show_output(output: dict[str, Any]) -> str:
    """Give what a cell showed: a table or chart as it is, everything else as text."""
    shown = output.get("data", {})
    if "text/html" in shown:
        # On one line, since an empty one would end what Markdown takes for HTML.
        return f'<div class="notebook-output">{"".join(shown["text/html"]).replace(chr(10), " ")}</div>'
    text = "".join(shown.get("text/plain") or output.get("text", ""))
    return f"```text\n{text.rstrip()}\n```"
