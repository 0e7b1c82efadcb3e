"""Runs featx on hostile files as a user would, and says what they did: what was printed, run, opened, taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

STRESS = bool(os.environ.get("FEATX_STRESS"))
"""Whether whole corpora are run; else a share of each."""

SHORT = 5
"""In a short run every fifth case of a corpus stands for its neighbours."""

MOST_SECONDS = 25.0
MOST_BYTES = 1 << 30
"""What no command may exceed on any file: seconds, and bytes above the imports."""


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    extra_bytes: int
    timed_out: bool
    deeds: list[tuple[str, str]]

    def check(self, *allowed_deeds: str) -> Outcome:
        """Fail on a traceback, a crash, a deed that was not allowed, too many seconds or bytes."""
        told = f"{self.stdout[-2000:]}\n{self.stderr[-2000:]}"
        assert "Traceback" not in self.stderr, told
        assert not self.timed_out, f"not done in {self.seconds:.0f} s\n{told}"
        assert self.code in (0, 1, 2), f"exit code {self.code}\n{told}"
        assert self.extra_bytes < MOST_BYTES, f"{self.extra_bytes >> 20} MiB above the imports\n{told}"
        assert not [deed for deed in self.deeds if deed[0] not in allowed_deeds], (self.deeds, told)
        return self


class Harness:
    """A process that has imported featx, and forks for each command.

    Parameters
    ----------
    folder : pathlib.Path
        Where output is kept and commands are run, unless they name another.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        root = Path(__file__).resolve().parents[2]
        environment = os.environ | {"PYTHONPATH": str(root), "HOME": str(self.home)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.fork_server"],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.baseline = self._read()["baseline"]

    def _read(self) -> dict:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process that runs commands has ended"
        return json.loads(line)

    def run(self, *arguments: object, cwd: Path | None = None, seconds: float = MOST_SECONDS) -> Outcome:
        """Run `featx ARGUMENTS` in a folder and wait for its end."""
        paths = {name: self.folder / name for name in ("stdout", "stderr", "deeds")}
        paths["deeds"].unlink(missing_ok=True)
        job = {
            "arguments": [os.fspath(word) if isinstance(word, Path) else str(word) for word in arguments],
            "folder": str(cwd or self.folder),
            "environment": {},
            "seconds": seconds,
            **{name: str(path) for name, path in paths.items()},
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer = self._read()
        deeds = [tuple(json.loads(line)) for line in paths["deeds"].read_text().splitlines()]
        return Outcome(
            code=answer["code"],
            stdout=paths["stdout"].read_text(errors="surrogateescape"),
            stderr=paths["stderr"].read_text(errors="surrogateescape"),
            seconds=answer["seconds"],
            extra_bytes=answer["peak"] - self.baseline,
            timed_out=answer["timed_out"],
            deeds=deeds,
        )

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
