"""No telemetry, no network but for weights that are named: a whole use of featx opens no socket, asks no resolver."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WATCHING = """
import os, socket, sys

WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.sendto")

def refuse(event, arguments):
    is_internet = event == "socket.__new__" and arguments[1] not in (-1, socket.AF_UNIX)
    # Processes of one machine talk through sockets that have a path for an address.
    is_elsewhere = event in WATCHED and not isinstance(arguments[1], str | bytes)
    if is_internet or is_elsewhere or event in WATCHED[1:4]:
        with open(os.environ["FEATX_TEST_DEEDS"], "a") as file:
            file.write(f"{event} {arguments!r}\\n")
        raise OSError("no network in this test")

sys.addaudithook(refuse)
"""
"""Run by every Python process of a command: sockets fail, and are noted."""

RECORDING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void note(const char *what) {
    FILE *file = fopen(getenv("FEATX_TEST_DEEDS"), "a");
    if (file) { fprintf(file, "%s\\n", what); fclose(file); }
}
int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r) {
    note("getaddrinfo"); return EAI_FAIL;
}
struct hostent *gethostbyname(const char *n) { note("gethostbyname"); return NULL; }
int connect(int file, const struct sockaddr *address, socklen_t length) {
    if (address->sa_family != AF_UNIX) { note("connect"); errno = ENETUNREACH; return -1; }
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    return next(file, address, length);
}
"""
"""The same below Python, for libraries that open their own."""


def run_watched(words: list[object], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with an empty home folder, without network, and with all that asks for it noted."""
    (folder / "sitecustomize.py").write_text(WATCHING)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    for name in ("TORCH_HOME", "HF_HOME", "FEATX_CACHE"):
        environment.pop(name, None)
    environment |= {
        "HOME": str(folder / "home"),
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "FEATX_TEST_DEEDS": str(folder / "deeds"),
    }
    if (folder / "recording.so").exists():
        environment["LD_PRELOAD"] = str(folder / "recording.so")
    command = [sys.executable, "-c", "from featx.cli.main import run; run()", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    (folder / "home").mkdir(parents=True)
    if sys.platform == "linux" and shutil.which("gcc"):
        (folder / "recording.c").write_text(RECORDING)
        source = folder / "recording.c"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "recording.so", source, "-ldl"], check=True)
    return folder


def has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_whole_use_asks_no_resolver_opens_no_socket_and_leaves_the_home_folder_empty(
    photos: Path, watched: Path, engine: str
) -> None:
    if engine == "openvino" and not has_openvino():
        pytest.skip("openvino is not installed")
    model = watched / "m.featx"
    base = ["--base", "tiny", "--cache", watched / "cache"]
    for words in (
        ["extract", photos, *base, "--layer", "layer3", "--layer", "layer4", "--engine", engine],
        ["compare", photos, *base],
        ["fit", photos, *base, "--layer", "layer4", "--clf", "svm", "--out", model, "--with-base"],
        ["predict", model, photos / "red"],
        ["score", model, photos],
        ["cache", "verify", "--cache", watched / "cache"],
    ):
        done = run_watched(words, watched)
        assert done.returncode == 0, done.stderr
    assert not (watched / "deeds").exists(), (watched / "deeds").read_text()
    assert list((watched / "home").rglob("*")) == []


def test_what_asks_for_the_network_is_seen(watched: Path) -> None:
    network = watched / "net.py"
    for line in (
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import socket; socket.socket()",
        "import urllib.request; urllib.request.urlopen('http://localhost:9')",
        "import ctypes; ctypes.CDLL(None).gethostbyname(b'localhost')",
    ):
        (watched / "deeds").unlink(missing_ok=True)
        network.write_text(f"{line}\n")
        if "ctypes" in line and not (watched / "recording.so").exists():
            continue
        run_watched(["layers", network], watched)
        assert (watched / "deeds").exists(), line
