"""Weights that are on this machine already, so that no network is needed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from featx.diagnosis.finding import Finding
from featx.errors import shorten

TOPIC = "weights"

PUBLISHED = re.compile(r"([a-z][a-z0-9_]*)-[0-9a-f]{8}\.pth")
"""Names of files as torchvision publishes them: network and the beginning of the digest."""

HUB_MODELS = re.compile(r"models--timm--([\w.-]+)")
"""Names of folders in which weights of timm are kept."""


def check_weights(torch_folder: Path | None = None, hub_folder: Path | None = None) -> list[Finding]:
    """List published weights that are on this machine, by their names.

    Parameters
    ----------
    torch_folder, hub_folder : pathlib.Path, optional
        Where torchvision and timm keep what was downloaded; by default where they look.
    """
    torch_names = list_names(torch_folder or find_torch_folder(), PUBLISHED)
    timm_names = list_names(hub_folder or find_hub_folder(), HUB_MODELS)
    findings = [Finding(TOPIC, "ok", "those of the bundled base tiny are in the package")]
    for owner, names in (("torchvision", torch_names), ("timm", timm_names)):
        if names:
            findings.append(Finding(TOPIC, "ok", f"of {owner}, downloaded: {shorten(names, 20)}"))
    if not torch_names and not timm_names:
        advice = "without network, name files with --weights (docs/guide/bases.md)"
        findings.append(Finding(TOPIC, "note", "none were downloaded: named weights are, when they are used", advice))
    return findings


def list_names(folder: Path, pattern: re.Pattern[str]) -> list[str]:
    """List what a folder holds, of names that publishers give: nobody else's are told."""
    try:
        entries = sorted(path.name for path in folder.iterdir())
    except OSError:
        return []
    return [match[1] for match in map(pattern.fullmatch, entries) if match]


def find_torch_folder() -> Path:
    """Find the folder in which torch keeps what it downloads, without importing it."""
    home = os.environ.get("TORCH_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home or Path(cache) / "torch").expanduser() / "hub" / "checkpoints"


def find_hub_folder() -> Path:
    """Find the folder in which timm's weights are kept."""
    if "HF_HUB_CACHE" in os.environ:
        return Path(os.environ["HF_HUB_CACHE"]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HF_HOME") or Path(cache) / "huggingface").expanduser() / "hub"
