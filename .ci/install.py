"""Installs featx, as editable, into the environment that runs this: what `make setup` does.

Where constraints.txt holds, nothing is installed that it does not name with a hash, and only featx itself is built.
"""

from __future__ import annotations

import platform
import subprocess
import sys

LOCKED_PYTHONS = {(3, 11), (3, 12), (3, 13)}
"""Versions of CPython for which every package of constraints.txt has a file that needs no building."""


ANNOUNCEMENT = (
    "Installing featx and what it needs takes some minutes. On Linux that is 3 GB to download and 7 GB on disk, most "
    "of it torch for NVIDIA cards; docs/install.md has a way for CPUs that takes a tenth."
)


def is_locked() -> bool:
    """Whether constraints.txt holds for this Python and this machine: those that CI has, or nearly so."""
    is_known_system = (platform.system(), platform.machine(), platform.libc_ver()[0]) == ("Linux", "x86_64", "glibc")
    is_known_python = platform.python_implementation() == "CPython" and sys.version_info[:2] in LOCKED_PYTHONS
    return is_known_system and is_known_python


def install(*arguments: str) -> None:
    """Install with the pip of this environment."""
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=True)


def main() -> None:
    """Install what is locked and then featx; elsewhere whatever pyproject.toml allows."""
    sys.stderr.write(f"{ANNOUNCEMENT}\n")
    if is_locked():
        install("--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", "constraints.txt")
        install("--no-deps", "--no-build-isolation", "--no-index", "--editable", ".")
        return
    sys.stderr.write(
        f"note: constraints.txt is not made for Python {platform.python_version()} on {platform.system()} "
        f"{platform.machine()}: the newest versions that pyproject.toml allows are installed, without hashes\n"
    )
    install("--editable", ".[dev]")


if __name__ == "__main__":
    main()
