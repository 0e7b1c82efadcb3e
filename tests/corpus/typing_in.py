"""Types commands into this process or one of its own, and keeps what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from featx.cli.main import explain, main
from featx.errors import FeatxError

LAYER = ("--base", "tiny", "--layer", "layer4")

NO_REMARK = re.compile(
    r"|.*image/s\]|.*fit/s\]|\d+ images?: .* failed, .* (s|min|h|images/s)|failed: .*|.* passes over the rows, .*"
    r"|.* does not tell strangers: .*"
)
"""Lines of stderr that are no remarks on the data: progress, the figures of an extraction, images that failed, signs of
life, and what models of classes of one training image cannot do."""


@dataclass
class Outcome:
    """What a command gave: exit code, output, the lines of stderr, and its error without `error: `."""

    typed: str
    code: int
    stdout: str
    lines: list[str]
    error: str = ""

    @property
    def remarks(self) -> list[str]:
        return [line for line in self.lines if not NO_REMARK.fullmatch(line)]

    @property
    def failed(self) -> list[str]:
        return [line for line in self.lines if line.startswith("failed: ")]

    def __str__(self) -> str:
        return "\n".join([f"featx {self.typed}: {self.code}", self.error, *self.lines, self.stdout[-500:]])


def split_lines(text: str) -> list[str]:
    """Split stderr; a progress bar goes back to the beginning of its line, and leaves blanks there."""
    return [line.strip() for line in re.split("[\r\n]", text)]


def type_here(*args: object, stdin: bytes | None = None) -> Outcome:
    """Type a command in this process; whatever it raises but for errors of featx is a bug."""
    words = [str(arg) for arg in args]
    result = CliRunner().invoke(main, words, input=stdin)
    outcome = Outcome(" ".join(words), result.exit_code, result.stdout, split_lines(result.stderr))
    if isinstance(result.exception, FeatxError):
        outcome.code = 1
        outcome.error = explain(result.exception)
    elif result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return outcome


def type_apart(*args: object, stdin: bytes = b"", **environment: str) -> Outcome:
    """Type a command in a process of its own, in the current folder."""
    words = [sys.executable, "-c", "from featx.cli.main import run; run()", *map(str, args)]
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        words, input=stdin, capture_output=True, check=False, env={**os.environ, "PYTHONPATH": root, **environment}
    )
    lines = split_lines(done.stderr.decode(errors="surrogateescape"))
    assert "Traceback" not in " ".join(lines), "\n".join(lines)
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    stdout = done.stdout.decode(errors="surrogateescape")
    return Outcome(" ".join(map(str, args)), done.returncode, stdout, lines, " ".join(errors))


def check_error(outcome: Outcome, phrase: str) -> None:
    """Check that a command stopped with one line of error."""
    assert phrase in outcome.error, f"not said: {phrase}\n{outcome}"
    assert (outcome.code, outcome.stdout) == (1, ""), str(outcome)
    assert "\n" not in outcome.error, str(outcome)


def check_said(outcome: Outcome, lines: Sequence[str], phrases: Sequence[str]) -> None:
    """Check that each phrase stands in a line of its own, and no other line is there."""
    left = list(lines)
    for phrase in phrases:
        found = next((line for line in left if phrase in line), None)
        assert found is not None, f"not said: {phrase}\n{outcome}"
        left.remove(found)
    assert not left, f"not foreseen: {left}\n{outcome}"
