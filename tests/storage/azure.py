"""A server of this machine that speaks Azure Blob Storage: Microsoft's emulator, Azurite, which needs node."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

INSTALLED = Path(__file__).resolve().parents[2] / ".ci" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
"""Where CI installs it."""

ACCOUNT = "devstoreaccount1"

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Of that account: the same in every Azurite, and public. It opens nothing else."""

VERSION = "2021-08-06"
"""Of the protocol."""

OPTIONS = (
    "--blobHost",
    "127.0.0.1",
    "--inMemoryPersistence",
    "--silent",
    "--disableTelemetry",
    "--skipApiVersionCheck",
)


def find_azurite() -> str | None:
    """Find the program; `$FEATX_AZURITE` names another one."""
    named = os.environ.get("FEATX_AZURITE") or shutil.which("azurite-blob")
    if named is None and INSTALLED.exists() and shutil.which("node"):
        return str(INSTALLED)
    return named


@contextmanager
def running(program: str, folder: Path) -> Iterator[str]:
    """Run a server that keeps everything in memory: its address, with the account.

    Raises
    ------
    RuntimeError
        If it does not start.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, *OPTIONS, "--blobPort", str(port)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        lines = []
        # It ends, and so does its output, where it cannot listen.
        for line in process.stdout:
            lines.append(line)
            if "successfully listens" in line:
                break
        else:
            raise RuntimeError(f"'{program}' does not start: {''.join(lines)}")
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"
    finally:
        process.kill()
        process.communicate()


def sign(text: str) -> str:
    """Sign with the account's key."""
    return base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)).decode()


def make_token(container: str, rights: str) -> str:
    """Make a token (SAS) that gives some rights in a container: "r" for reading, "l" for listing and so on.

    https://learn.microsoft.com/rest/api/storageservices/create-service-sas
    """
    fields = {"sp": rights, "se": "2100-01-01T00:00:00Z", "sv": "2020-12-06", "sr": "c"}
    resource = f"/blob/{ACCOUNT}/{container}"
    signed = [rights, "", fields["se"], resource, "", "", "", fields["sv"], "c", "", "", "", "", "", "", ""]
    return urllib.parse.urlencode({**fields, "sig": sign("\n".join(signed))})


def make_container(endpoint: str, name: str) -> None:
    """Make a container, which obstore cannot.

    https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """
    date = formatdate(usegmt=True)
    headers = f"x-ms-date:{date}\nx-ms-version:{VERSION}\n"
    signed = "PUT" + "\n" * 12 + headers + f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    request = urllib.request.Request(
        f"{endpoint}/{name}?restype=container",
        method="PUT",
        headers={"x-ms-date": date, "x-ms-version": VERSION, "Authorization": f"SharedKey {ACCOUNT}:{sign(signed)}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201
