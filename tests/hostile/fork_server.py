"""Runs featx commands in forks of one process that has imported everything, and measures each: seconds, memory, deeds.

python -m tests.hostile.fork_server: reads a job a line as JSON from stdin, answers with a line on stdout.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

WATCHED = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "urllib.Request",
    "pickle.find_class",
    "exec",
)
"""What Python's audit events call the deeds that a hostile file may want."""

OWN_PROCESS = "from featx.images.decoding_worker import serve"
MOST_SHOWN = 300
"""Characters of a deed."""

POLL_SECONDS = 0.005


def import_all() -> None:
    """Load all that commands import, so that memory is counted above it."""
    import click.testing
    import h5py
    import joblib
    import scipy.linalg
    import sklearn.metrics
    import torch
    import torchvision.transforms.v2
    from PIL import Image

    import featx.cli.main
    import featx.workflows.compare
    import featx.workflows.extract
    import featx.workflows.fit
    import featx.workflows.predict
    import featx.workflows.score

    Image.init()
    modules = (click, h5py, joblib, scipy, sklearn, torch, torchvision, featx)
    assert all(modules)
    # Threads do not survive a fork: no library may have begun any.
    torch.set_num_threads(1)


def watch(deeds: Path) -> None:
    """Write every watched event to a file, with what it was about."""
    handle = os.open(deeds, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in WATCHED:
            return
        subject = repr(arguments)
        # featx decodes what it does not trust in a process of its own.
        if event == "subprocess.Popen" and OWN_PROCESS in subject:
            return
        # Modules are code objects that are run, too: only those of files outside the installed packages count.
        if event == "exec" and not is_foreign_code(arguments[0]):
            return
        os.write(handle, json.dumps([event, subject[:MOST_SHOWN]]).encode() + b"\n")

    sys.addaudithook(note)


TRUSTED = tuple(str(Path(folder).resolve()) for folder in (*sys.path, sys.prefix, sys.base_prefix) if folder)


def is_foreign_code(code: Any) -> bool:
    """Whether a code object comes from a file that is neither featx's nor an installed package's."""
    name = getattr(code, "co_filename", "<unknown>")
    if name.startswith("<"):
        return False
    return not str(Path(name).resolve()).startswith(TRUSTED)


def run_child(job: dict[str, Any]) -> None:
    """Be the command: in the job's folder, with its output in files."""
    os.setsid()
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(job["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    err = os.open(job["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for handle, number in ((null, 0), (out, 1), (err, 2)):
        os.dup2(handle, number)
    watch(Path(job["deeds"]))
    from featx.cli.main import run

    sys.argv = ["featx", *job["arguments"]]
    run(job["arguments"])


def serve_one(job: dict[str, Any]) -> dict[str, Any]:
    """Fork, wait, measure; a command that takes too long is ended."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            run_child(job)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    timed_out = False
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() - start > job["seconds"]:
            timed_out = True
            os.killpg(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            break
        time.sleep(POLL_SECONDS)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - start,
        "peak": usage.ru_maxrss * 1024,
        "timed_out": timed_out,
    }


def bytes_of_a_fork() -> int:
    """Measure what a child begins with: its peak counts the parent's pages that it shares."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    _, _, usage = os.wait4(child, 0)
    return usage.ru_maxrss * 1024


def answer(words: dict[str, Any]) -> None:
    """Tell the harness one thing, at once."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> None:
    import_all()
    answer({"baseline": bytes_of_a_fork()})
    for line in sys.stdin:
        answer(serve_one(json.loads(line)))


if __name__ == "__main__":
    main()
