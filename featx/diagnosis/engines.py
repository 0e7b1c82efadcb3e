"""What runs a base: every engine that is installed, tried on one picture in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from featx.diagnosis.finding import Finding

TOPIC = "engines"

TRIAL_SECONDS = 120
"""After so long an engine is taken for stuck: all together need some five seconds."""

TRIAL = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from featx.diagnosis.engine_trial import main; main()"

ADVICE = {
    "torch": "pip install --upgrade torch torchvision",
    "openvino on cpu": "pip install --upgrade openvino, or use --engine torch",
    "onnxruntime": "pip install --upgrade onnxruntime",
    "torch on cuda": "update the driver, or use --device cpu",
    "torch on mps": "use --device cpu",
}
"""What to do about an engine that fails."""


@dataclass(frozen=True)
class Trial:
    """What came of trying all engines.

    Attributes
    ----------
    findings : list of Finding
    gpus : dict
        As `engine_trial.describe_gpus` gives it; empty where torch could not be imported.
    """

    findings: list[Finding]
    gpus: Mapping[str, Any] = field(default_factory=dict)


def try_engines(seconds: float = TRIAL_SECONDS) -> Trial:
    """Try every engine that is installed on one picture."""
    words = [sys.executable, "-c", TRIAL, json.dumps(sys.path)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
        lines, end = done.stdout, describe_end(done.returncode)
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        lines, end = output.decode() if isinstance(output, bytes) else output, f"was stuck for {seconds:.0f} s"
    return read_trial(lines, end)


def describe_end(code: int) -> str:
    """Say how a process ended that did not end well; empty where it did."""
    if code < 0:
        return f"crashed (signal {-code})"
    return f"ended with exit code {code}" if code else ""


def read_trial(lines: str, end: str) -> Trial:
    """Read what the process wrote.

    Parameters
    ----------
    lines : str
        A line of JSON before and after each engine.
    end : str
        How the process ended, if not well: the engine that was begun and not finished did that.
    """
    records = read_records(lines)
    finished = {record["name"] for record in records if "name" in record}
    findings = []
    gpus: Mapping[str, Any] = {}
    working = []
    for record in records:
        name = record.get("name")
        if name is None:
            continue
        if record.get("error"):
            findings.append(Finding(TOPIC, "problem", f"{name} fails: {record['error']}", ADVICE.get(name, "")))
        elif name == "torch":
            gpus = record.get("result") or {}
        else:
            working.append(f"{name} ({record['seconds']:.1f} s)")
    for record in records:
        name = record.get("begun")
        if name is not None and name not in finished:
            text = f"{name} {end or 'did not finish'}"
            findings.append(Finding(TOPIC, "problem", text, ADVICE.get(name, "")))
    if working:
        findings.insert(0, Finding(TOPIC, "ok", f"tried on one picture: {', '.join(working)}"))
    if not records:
        findings.append(Finding(TOPIC, "problem", f"the process that tries engines {end or 'wrote nothing'}"))
    return Trial(findings, gpus)


def read_records(lines: str) -> Sequence[Mapping[str, Any]]:
    """Read lines of JSON; libraries may have written others between them."""
    records = []
    for line in lines.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
