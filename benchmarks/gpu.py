"""What one NVIDIA GPU makes of featx, in one call of five minutes: no data, no weights, no network needed.

    python benchmarks/gpu.py [--out FOLDER]
    python benchmarks/gpu.py --device cpu --tiny --out FOLDER      # every section in a minute, without a GPU

The photos are made: small ones (500 x 375) and such of 12 megapixels. Weights are random, since the speed is the same,
and seeds are fixed. Each section of `gpu_sections.py` is a process of its own with a time limit, so that one that
crashes or runs out of memory costs its own rows only. What was left out is said in the table, which is printed at the
end and saved as benchmarks/results/gpu-CARD.md and in the folder of `--out`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO, Any

from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[1]
SECTIONS_FILE = Path(__file__).with_name("gpu_sections.py")

SECTIONS = {
    "photos": 50,
    "files": 75,
    "agreement": 90,
    "by hand": 50,
    "forward": 60,
    "engine": 55,
    "sweep": 40,
    "sweep, 2 cores": 45,
    "sweep, all cores": 30,
}
"""Section: the seconds that it may take at most, in the order in which they run."""

LIMIT = 310
"""Seconds of all sections together."""

LEAST = 8
"""Seconds without which no section is begun."""

PATIENT = 5
"""Times as long as that a section may take where the script is tried only, on whatever machine."""

FEW_CORES = 2
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Row = dict[str, Any]


@dataclass
class Report:
    """What the sections said so far.

    Attributes
    ----------
    rows : list of dict
        `section`, `name`, and either `value` and `unit` or a `note` that says why there is none.
    facts : dict
        Of the machine: card, driver, versions, cores.
    """

    rows: list[Row] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def take(self, section: str, line: str) -> None:
        """Take one line that a section printed; lines of libraries are passed over."""
        if not line.startswith("{"):
            return
        try:
            said = json.loads(line)
        except ValueError:
            return
        if "facts" in said:
            self.facts.update(said["facts"])
            return
        self.add({"section": section, **said})

    def add(self, row: Row) -> None:
        """Keep a row, and show it, in case that this process does not reach the table."""
        self.rows.append(row)
        print(f"{time.strftime('%H:%M:%S')} {json.dumps(row)}", file=sys.stderr, flush=True)


def run_section(report: Report, section: str, seconds: float, options: list[str]) -> None:
    """Run one section in a process of its own, and end it and all that it started when its time is over."""
    rows_before = len(report.rows)
    command = [sys.executable, str(SECTIONS_FILE), section, "--seconds", f"{seconds:.0f}", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    if section.endswith(f"{FEW_CORES} cores"):
        command += ["--cores", str(FEW_CORES)]
        environment |= dict.fromkeys(THREAD_VARIABLES, str(FEW_CORES))
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, start_new_session=True
        )
        assert process.stdout is not None
        reader = Thread(target=read_lines, args=(process.stdout, report, section), daemon=True)
        reader.start()
        started = time.perf_counter()
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            done = len(report.rows) - rows_before
            note = f"stopped after its {seconds:.0f} s, with {done} rows done: the others are left out"
            report.add({"section": section, "name": "the rest of it", "note": note})
            code = 0
        finally:
            end_group(process)
        reader.join(5)
        if code:
            errors.seek(0)
            report.add({"section": section, "name": "the rest of it", "note": f"failed: {explain(code, errors)}"})
    print(f"section '{section}' took {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def read_lines(stream: IO[str], report: Report, section: str) -> None:
    """Take the lines of a section as they come."""
    for line in stream:
        report.take(section, line)


def end_group(process: subprocess.Popen[str]) -> None:
    """End a section with the processes that it started: loaders, compilers."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def explain(code: int, errors: IO[str]) -> str:
    """Find the line of the error: in a traceback the last one that is not indented and begins with a name."""
    if code < 0:
        return f"ended by signal {-code} ({signal.Signals(-code).name})"
    lines = [line.strip() for line in errors if re.match(r"[A-Za-z_.]+(Error|Exception|Interrupt|Exit)\b", line)]
    return lines[-1] if lines else f"exit code {code}"


def compare(row: Row, values: dict[str, float]) -> float | None:
    """Divide the figure of a row by that of the row that it names; of two times, how much shorter this one is."""
    beside = values.get(row.get("beside", ""))
    value = row.get("value")
    if not beside or not value:
        return None
    return beside / value if row["unit"] == "s" else value / beside


def judge(row: Row, ratio: float | None) -> tuple[str, str]:
    """Word the goal of a row, and whether it is met."""
    if "at_least" in row:
        goal = f">= {row['at_least']:g} x"
        return goal, "" if ratio is None else ("yes" if ratio >= row["at_least"] else "NO")
    if "at_most" in row:
        goal = f"<= {row['at_most']:g} {row.get('unit', '')}".strip()
        return goal, "" if row.get("value") is None else ("yes" if row["value"] <= row["at_most"] else "NO")
    return "", ""


def format_value(value: float | None) -> str:
    """Write a figure with three digits or more."""
    if value is None:
        return "-"
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def make_table(report: Report) -> str:
    """Lay out all rows as one table, with the facts of the machine above."""
    values = {row["name"]: row["value"] for row in report.rows if row.get("value") is not None}
    lines = []
    for row in report.rows:
        ratio = compare(row, values)
        beside = "" if ratio is None else f"{ratio:.2f} x {row['beside']}"
        figure = f"{format_value(row.get('value'))} {row.get('unit', '')}".strip()
        lines.append([row["section"], row["name"], figure, beside, *judge(row, ratio), row.get("note", "")])
    facts = "\n".join(f"- {name}: {fact}" for name, fact in report.facts.items())
    header = ["section", "what", "figure", "beside", "goal", "met", "note"]
    return f"{facts}\n\n{tabulate(lines, header, tablefmt='github', disable_numparse=True)}\n"


def save(report: Report, folders: list[Path]) -> None:
    """Print the table, and save it in each folder under the name of the card."""
    table = make_table(report)
    card = re.sub(r"[^a-z0-9]+", "-", report.facts.get("card", "unknown").lower()).strip("-")
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"gpu-{card}.md").write_text(table)
    print(table)


def main() -> None:
    """Run the sections one after another, as far as the time goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to try the script")
    parser.add_argument("--tiny", action="store_true", help="few and small images, to try the script")
    parser.add_argument("--out", type=Path, help="a folder for the table, beside benchmarks/results/")
    parser.add_argument("--limit", type=float, help=f"seconds of all sections together, {LIMIT} by default")
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), choices=SECTIONS, help="these sections only")
    asked = parser.parse_args()
    # What was measured of a stand-in belongs into no folder of results.
    folders = [] if asked.tiny or asked.device == "cpu" else [ROOT / "benchmarks" / "results"]
    folders += [asked.out] if asked.out else []
    report = Report()
    started = time.perf_counter()
    limit = asked.limit or (PATIENT * LIMIT if asked.tiny else LIMIT)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        options = ["--device", asked.device, "--work", work, *(["--tiny"] if asked.tiny else [])]
        for section, usual in SECTIONS.items():
            if section != "photos" and section not in asked.only:
                continue
            most = PATIENT * usual if asked.tiny else usual
            left = limit - (time.perf_counter() - started)
            if left < LEAST:
                note = f"left out: the {limit:.0f} s of the whole are over"
                report.add({"section": section, "name": "all of it", "note": note})
                continue
            run_section(report, section, min(most, left), options)
    report.facts["seconds in all"] = f"{time.perf_counter() - started:.0f}"
    save(report, folders)


if __name__ == "__main__":
    main()
