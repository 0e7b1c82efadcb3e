"""Takes commands and Python out of documents, and makes them run without a download, on a small folder of photos."""

from __future__ import annotations

import re
from typing import NamedTuple

PHOTOS = "photos"
"""What documents call the user's data; whoever runs their blocks works in a folder that holds such a one."""

BLOCK = re.compile(
    r"^(?P<note><!-- needs: .*? -->\n)?^```(?P<kind>sh|python)\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE
)


class Block(NamedTuple):
    """A block of code in a document.

    Attributes
    ----------
    kind : {"sh", "python"}
    code : str
    needs : str
        What it cannot run without here, as a comment above it says; empty where it runs.
    """

    kind: str
    code: str
    needs: str


def list_blocks(text: str) -> list[Block]:
    """List the blocks of commands and of Python in a document, in order."""
    blocks = []
    for found in BLOCK.finditer(text):
        needs = (found["note"] or "").removeprefix("<!-- needs:").removesuffix(" -->\n").strip()
        blocks.append(Block(found["kind"], found["code"], needs))
    return blocks


def list_commands(code: str) -> list[str]:
    """List the lines of a block that call featx."""
    joined = code.replace("\\\n", " ")
    lines = [line.strip().removeprefix(".venv/bin/") for line in joined.splitlines()]
    return [line for line in lines if line.startswith("featx ")]


def use_bundled_base(words: list[str]) -> list[str]:
    """Give the words of a command with the bundled base, which needs no download, instead of what they name."""
    kept = []
    for before, word in zip(["", *words], words, strict=False):
        if before in ("--base", "layers"):
            kept.append(word if word in ("hog", "tiny") else "tiny")
        elif word != "--weights" and before != "--weights":
            kept.append(word)
    return kept


def use_bundled_base_in(code: str) -> str:
    """Do the same in Python."""
    return re.sub(r'base="[^"]*"', 'base="tiny"', code)
