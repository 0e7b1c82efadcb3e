"""Installs featx, as editable, into the environment that runs this: what `make setup` does.

Where constraints.txt holds, nothing is installed that it does not name with a hash, and nothing is built but featx itself.
"""

from __future__ import annotations

import platform
import subprocess
import sys

LOCKED_PLATFORMS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64"), ("Windows", "AMD64")}
LOCKED_PYTHONS = {(3, 11), (3, 12), (3, 13)}
"""Where every package of constraints.txt has a file that needs no building."""


def is_locked() -> bool:
    """Whether constraints.txt holds for this Python and this machine."""
    is_known = (platform.system(), platform.machine()) in LOCKED_PLATFORMS
    return is_known and platform.python_implementation() == "CPython" and sys.version_info[:2] in LOCKED_PYTHONS


def install(*arguments: str) -> None:
    """Install with the pip of this environment."""
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=True)


def main() -> None:
    """Install what is locked and then featx; elsewhere whatever pyproject.toml allows."""
    if is_locked():
        install("--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", "constraints.txt")
        install("--no-deps", "--no-build-isolation", "--no-index", "--editable", ".")
        return
    sys.stderr.write(
        f"note: constraints.txt has no hashes for Python {platform.python_version()} on {platform.system()} "
        f"{platform.machine()}: the newest versions that pyproject.toml allows are installed\n"
    )
    install("--editable", ".[dev]")


if __name__ == "__main__":
    main()
