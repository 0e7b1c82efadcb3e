"""The command line's manners: first steps, completion, colour, width, and signs of life."""

from __future__ import annotations

import io
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from featx.cli.completion import VARIABLE
from featx.cli.main import COMMANDS, FIRST_STEPS, set_up_logging
from featx.cli.progress import SILENT_SECONDS, waiting
from featx.cli.terminal import colour, say_table
from featx.timing import format_seconds

Featx = Callable[..., Any]
TABLE = "   layer\n*  layer3\n=  layer2\n   layer1"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def test_without_arguments_three_first_steps_are_shown(featx: Featx) -> None:
    result = featx()
    assert result.exit_code == 0
    assert result.stdout.strip() == FIRST_STEPS
    commands = [line.split()[1] for line in FIRST_STEPS.splitlines() if line.startswith("  featx ")]
    assert len(commands) == 3
    assert set(commands) <= set(COMMANDS)


@pytest.mark.parametrize(
    ("words", "nearest"), [(("extrct",), "extract"), (("cache", "verfy"), "verify"), (("docter",), "doctor")]
)
def test_a_mistyped_command_gets_the_nearest_one(featx: Featx, words: tuple[str, ...], nearest: str) -> None:
    result = featx(*words)
    assert result.exit_code == 2
    assert f"Did you mean '{nearest}'?" in result.stderr


def test_a_mistyped_option_gets_the_nearest_one(featx: Featx) -> None:
    result = featx("layers", "tiny", "--jsn")
    assert result.exit_code == 2
    assert "--json" in result.stderr


def test_the_best_row_and_those_tied_with_it_have_colours_on_a_terminal(terminal: Terminal) -> None:
    with redirect_stdout(terminal):
        say_table(TABLE)
    lines = terminal.getvalue().splitlines()
    assert lines[0] == "   layer"
    assert lines[1] == "\x1b[32m*  layer3\x1b[0m"
    assert lines[2] == "\x1b[33m=  layer2\x1b[0m"
    assert lines[3] == "   layer1"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colour_gets_none(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with redirect_stdout(terminal):
        say_table(TABLE)
    assert terminal.getvalue() == f"{TABLE}\n"


def test_files_and_pipes_get_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(TABLE)
    assert capsys.readouterr().out == f"{TABLE}\n"
    assert colour("best", "green") == "best"


def test_a_name_in_a_table_moves_no_cursor(terminal: Terminal) -> None:
    with redirect_stdout(terminal):
        say_table("*  lay\x1b[2Jer")
    assert "\\x1b[2J" in terminal.getvalue()


def test_columns_says_how_wide_help_and_tables_are(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from featx.cli.main import run; run(['--help'])"
    widths = []
    for columns in ("70", "110"):
        environment = {**os.environ, "COLUMNS": columns}
        words = [sys.executable, "-c", script]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        widths.append(max(map(len, done.stdout.splitlines())))
    assert widths[0] <= 70 < widths[1] <= 110
    from featx.reports.table import terminal_width

    monkeypatch.setenv("COLUMNS", "60")
    assert terminal_width() == 60


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_what_the_shell_reads(featx: Featx, shell: str) -> None:
    script = featx("completion", shell).stdout
    assert VARIABLE in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("typed", "expected"), [("featx ex", {"extract", "explain", "export"}), ("featx fit --wei", {"--weights"})]
)
def test_commands_and_options_are_completed(typed: str, expected: set[str], tmp_path: Path) -> None:
    environment = {**os.environ, VARIABLE: "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    script = "from featx.cli.main import run; run([])"
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == expected


def test_what_takes_long_says_on_a_terminal_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logging(0)
    with waiting("exporting", quiet=False):
        time.sleep(SILENT_SECONDS + 0.5)
        logging.getLogger("featx").warning("odd")
    assert "exporting ... " in stream.getvalue()
    assert "\rwarning: odd\n" in stream.getvalue()
    quiet = Terminal()
    monkeypatch.setattr(sys, "stderr", quiet)
    with waiting("exporting", quiet=False):
        pass
    assert quiet.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (21, "21 s"), (99, "99 s"), (240, "4 min"), (5400, "90 min"), (7200, "2.0 h")]
)
def test_durations_are_those_of_humans(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
