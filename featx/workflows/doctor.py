"""Look at this machine and say what is not in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from featx import __version__
from featx.diagnosis.cache import check_cache
from featx.diagnosis.devices import check_gpus, check_processor, read_flags
from featx.diagnosis.engines import Trial, try_engines
from featx.diagnosis.finding import Finding, hide_people
from featx.diagnosis.packages import Installation, check_packages, read_installation
from featx.diagnosis.weights import check_weights
from featx.storage.paths import CachePath


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes
    ----------
    version : str
        Of featx.
    findings : list of Finding
        Without paths or names of people.
    """

    version: str
    findings: list[Finding]

    @property
    def problems(self) -> int:
        """How many findings are problems."""
        return sum(finding.status == "problem" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            "featx": self.version,
            "problems": self.problems,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def diagnose(cache: CachePath, installation: Installation | None = None, trial: Trial | None = None) -> Diagnosis:
    """Check Python, packages, devices, engines, weights and the cache; no network is used.

    Parameters
    ----------
    cache : pathlib.Path
        It need not be there.
    installation : Installation, optional
        By default what is installed here.
    trial : Trial, optional
        By default every engine is tried on a picture, which takes some five seconds.
    """
    trial = trial or try_engines()
    findings = [
        *check_packages(installation or read_installation()),
        *check_processor(read_flags()),
        *(check_gpus(trial.gpus) if trial.gpus else []),
        *trial.findings,
        *check_weights(),
        *check_cache(cache),
    ]
    hidden = [replace(found, text=hide_people(found.text), advice=hide_people(found.advice)) for found in findings]
    return Diagnosis(__version__, hidden)
