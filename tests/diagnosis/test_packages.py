"""What is installed, against what featx asks for and was tested with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from featx.diagnosis.finding import Finding
from featx.diagnosis.packages import (
    WHAT_FOR,
    Asked,
    Installation,
    check_packages,
    check_torchvision,
    is_allowed,
    read_asked,
    read_installation,
    read_tested,
    read_version,
)

SOUND = Installation(
    installed={"torch": "2.14.1", "torchvision": "0.29.1", "openvino": "2026.4.1"},
    asked=[
        Asked("torch", ((">=", "2.11"),)),
        Asked("torchvision", ((">=", "0.26"),)),
        Asked("openvino", ((">=", "2025.1"),), "openvino"),
        Asked("ruff", ((">=", "0.11"),), "dev"),
    ],
    tested={"torch": {"2.14.1"}, "torchvision": {"0.29.1"}, "openvino": {"2026.4.1"}},
    torch_of_torchvision="2.14.1",
    python=(3, 11),
)


def list_lines(findings: list[Finding], status: str) -> list[str]:
    return [f"{found.text} -> {found.advice}" for found in findings if found.status == status]


def test_a_sound_installation_has_neither_notes_nor_problems() -> None:
    findings = check_packages(SOUND)
    assert {found.status for found in findings} == {"ok"}
    assert "torch 2.14.1, torchvision 0.29.1, openvino 2026.4.1" in findings[-1].text


def test_without_openvino_a_note_says_what_it_is_for_and_how_to_install_it() -> None:
    installed = {name: version for name, version in SOUND.installed.items() if name != "openvino"}
    findings = check_packages(replace(SOUND, installed=installed))
    assert list_lines(findings, "problem") == []
    assert list_lines(findings, "note") == [
        "openvino is not installed, for the fastest engine on CPUs -> if you want that: pip install 'featx[openvino]'"
    ]


def test_a_torchvision_that_was_built_for_another_torch_is_a_problem() -> None:
    wrong = replace(
        SOUND, installed={**SOUND.installed, "torchvision": "0.26.0"}, torch_of_torchvision="2.11.0", tested={}
    )
    assert list_lines(check_packages(wrong), "problem") == [
        "torchvision 0.26.0 was built for torch 2.11.0, and torch 2.14.1 is installed "
        "-> pip install --upgrade torch torchvision"
    ]


@pytest.mark.parametrize(("torchvision", "problems"), [("0.29.7", 0), ("0.28.1", 1), ("0.30.0", 1)])
def test_a_torchvision_that_names_no_torch_is_told_by_its_number(torchvision: str, problems: int) -> None:
    installed = {**SOUND.installed, "torchvision": torchvision}
    findings = check_torchvision(replace(SOUND, installed=installed, torch_of_torchvision=""))
    assert len(findings) == problems


def test_what_is_missing_or_too_old_is_a_problem_and_what_was_not_tested_a_note() -> None:
    installed = {"torchvision": "0.29.1", "openvino": "2024.0"}
    findings = check_packages(replace(SOUND, installed=installed, python=(3, 99)))
    assert list_lines(findings, "problem") == [
        "torch is not installed -> pip install 'torch>=2.11'",
        "openvino 2024.0 is too old for the fastest engine on CPUs -> pip install 'featx[openvino]'",
    ]
    notes = list_lines(findings, "note")
    assert "tested are 3.11, 3.12, 3.13" in notes[0]
    assert "openvino 2024.0 (tested: 2026.4.1)" in notes[1]


@pytest.mark.parametrize(
    ("version", "bounds", "allowed"),
    [
        ("2.14.1+cu130", ((">=", "2.11"),), True),
        ("2.9", ((">=", "2.11"),), False),
        ("2.0", ((">=", "2"), ("<", "3")), True),
        ("3.0", ((">=", "2"), ("<", "3")), False),
        ("2.14.1", (("==", "2.14.1"),), True),
        ("2.14.2", (("==", "2.14.1"),), False),
        ("2.14.2", (("==", "2.14.*"),), True),
    ],
)
def test_versions_are_compared_number_by_number(
    version: str, bounds: tuple[tuple[str, str], ...], allowed: bool
) -> None:
    assert is_allowed(version, bounds) == allowed


def test_a_release_is_read_without_what_follows_it() -> None:
    assert read_version("2.14.0rc1") == (2, 14)
    assert read_version("unknown") == ()


def test_what_featx_asks_for_is_read_from_its_own_metadata() -> None:
    asked = read_asked("featx")
    assert Asked("click", ((">=", "8.1"),)) in asked
    assert "openvino" in {item.extra for item in asked}
    assert {item.extra for item in asked} - {""} <= {*WHAT_FOR, "dev", "bench"}
    assert "torch" in read_tested()
    assert list_lines(check_torchvision(read_installation()), "problem") == []
