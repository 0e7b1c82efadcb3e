"""The processor, its memory, and GPUs: what each is good for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from featx.diagnosis.finding import Finding
from featx.processes.machine import count_cores, half_the_memory

TOPIC = "devices"

ROUNDING = ("avx512_bf16", "amx_bf16")
"""Instructions that compute in bfloat16."""

LITTLE_MEMORY = 4e9
"""Bytes below which large photos are decoded one at a time."""


def read_flags(file: Path = Path("/proc/cpuinfo")) -> set[str] | None:
    """Read which instructions the processor has; None where the system does not tell."""
    with suppress(OSError):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, flags = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return set(flags.split())
    return None


def check_processor(flags: set[str] | None) -> list[Finding]:
    """Say what the processor is good for.

    Parameters
    ----------
    flags : set of str or None
        As Linux names them; None where the system does not tell.
    """
    cores = count_cores()
    memory = 2 * half_the_memory()
    noun = "core" if cores == 1 else "cores"
    status: Any = "note" if memory < LITTLE_MEMORY else "ok"
    findings = [Finding(TOPIC, status, f"CPU: {cores} {noun}, {memory / 1e9:.0f} GB of memory")]
    if flags is None:
        return findings
    if "avx512f" in flags:
        findings.append(Finding(TOPIC, "ok", "CPU: AVX-512, which OpenVINO and torch use"))
    elif "avx2" in flags:
        findings.append(Finding(TOPIC, "ok", "CPU: AVX2 without AVX-512, about half as fast a core"))
    elif {"asimd", "neon"} & flags:
        findings.append(Finding(TOPIC, "ok", "CPU: NEON"))
    else:
        text = "CPU: no AVX2, so networks run slowly"
        findings.append(Finding(TOPIC, "note", text, "extract on another machine: caches can be copied"))
    found = [name for name in ROUNDING if name in flags]
    if found:
        findings.append(Finding(TOPIC, "ok", f"CPU: {' and '.join(found)}: --precision bfloat16 is faster here"))
    else:
        findings.append(Finding(TOPIC, "ok", "CPU: no bfloat16, so --precision float32 is right here"))
    return findings


def check_gpus(seen: Mapping[str, Any], has_driver: bool | None = None) -> list[Finding]:
    """Say what torch sees of GPUs.

    Parameters
    ----------
    seen : mapping
        As `engine_trial.describe_gpus` gives it: `cuda` (version that torch was built for, or None), `driver` (newest
        CUDA that the driver knows, or None), `gpus` (name and memory of each) and `mps`.
    has_driver : bool, optional
        Whether the system has a driver of NVIDIA; by default as Linux tells.
    """
    if has_driver is None:
        has_driver = Path("/proc/driver/nvidia/version").exists()
    gpus: Sequence[Mapping[str, Any]] = seen.get("gpus") or []
    findings = []
    for number, gpu in enumerate(gpus):
        text = f"cuda:{number}: {gpu['name']}, {gpu['bytes'] / 1e9:.0f} GB; torch for CUDA {seen.get('cuda')}"
        if seen.get("driver"):
            text += f", driver for CUDA {seen['driver']}"
        findings.append(Finding(TOPIC, "ok", f"{text}: extraction and fine-tuning take it by themselves"))
    if seen.get("mps"):
        findings.append(Finding(TOPIC, "ok", "mps: Apple's GPU, which extraction and fine-tuning take by themselves"))
    if findings:
        return findings
    if has_driver and seen.get("cuda"):
        text = f"there is a driver of NVIDIA, but torch (for CUDA {seen['cuda']}) sees no GPU"
        advice = "update the driver, or install the torch that was built for it; in a container, pass the GPU on"
        return [Finding(TOPIC, "problem", text, advice)]
    if has_driver:
        advice = "install torch for CUDA (pytorch.org says how)"
        return [Finding(TOPIC, "note", "there is a driver of NVIDIA, but this torch was built without CUDA", advice)]
    return [Finding(TOPIC, "ok", "no GPU: networks run on the CPU, and evaluation needs none")]
