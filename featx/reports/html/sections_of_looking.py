"""Parts of the page that show what looking at the data and at layers gave: checks, the map, and what layers see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.reports.html.looking import Evidence
from featx.reports.html.material import Material, Section

MOST_GROUPS = 12
MOST_OF_GROUP = 6
MOST_SUSPECTS = 18
MOST_STRANGERS = 12
MOST_POOR = 18
"""How much of each finding is shown; `featx inspect` lists all of it."""

MOST_POINTS = 5000
"""Images of a map whose places the page holds: more cannot be told apart."""

MAP_DIGITS = 3
"""Thousandths of the map's width are less than a pixel."""


def describe_checks(material: Material) -> Section:
    """Describe what an inspection found, with the rows of its pictures; or say what finds it."""
    command = write_inspection(material)
    found = material.looked.inspection
    if found is None:
        return {"found": None, "command": command}
    paths = material.dataset.listing.paths
    rows = {path: row for row, path in enumerate(paths)}
    # An exact copy counts once, so that it may have no row.
    folder = paths[0].removesuffix(material.names[0])

    def locate(path: str) -> Section:
        row = rows.get(path)
        return {"row": row, "path": "an image" if row is None and material.request.anonymous else name(path, row)}

    def name(path: str, row: int | None) -> str:
        return material.without_paths(path.removeprefix(folder)) if row is None else material.names[row]

    groups = []
    for group in found["near_duplicates"][:MOST_GROUPS]:
        images = []
        for path, label, split in zip(group["paths"], group["labels"], group["splits"], strict=True):
            images.append({**locate(path), "label": label, "split": split})
        shown = {key: group[key] for key in ("similarity", "is_leak", "is_conflict")}
        groups.append({**shown, "images": images[:MOST_OF_GROUP], "count": len(images)})
    return {
        "found": {
            "images": found["images"],
            "layer": found["layer"],
            "pooling": found["pooling"],
            "base": found["base"],
            "groups": groups,
            "groups_in_all": len(found["near_duplicates"]),
            "leaks": sum(group["is_leak"] for group in found["near_duplicates"]),
            "conflicts": sum(group["is_conflict"] for group in found["near_duplicates"]),
            "suspects": [{**each, **locate(each["path"])} for each in found["suspect_labels"][:MOST_SUSPECTS]],
            "suspects_in_all": len(found["suspect_labels"]),
            "estimated_wrong": found["estimated_wrong"],
            "strangers": [{**each, **locate(each["path"])} for each in found["strangers"][:MOST_STRANGERS]],
            "strangers_in_all": len(found["strangers"]),
            "poor": [{**each, **locate(each["path"])} for each in found["poor_pictures"][:MOST_POOR]],
            "poor_in_all": len(found["poor_pictures"]),
            "shortcuts": list(found["shortcuts"]),
            "shift": found["shift"],
            "group_hint": "" if material.request.anonymous else found["group_hint"],
            "notes": [material.without_paths(note) for note in found["notes"]],
        },
        "command": command,
    }


def write_inspection(material: Material) -> str:
    """Write the command that looks at the data, through the same features where a page shows what they gave."""
    found = material.looked.inspection
    if found is None:
        return material.repeatable.command("inspect")
    return material.repeatable.command("inspect", "--layer", found["layer"], "--pooling", found["pooling"])


def list_rows_of_checks(checks: Section) -> list[int]:
    """List the rows whose pictures a description of checks shows."""
    found = checks["found"]
    if found is None:
        return []
    images: list[Section] = [image for group in found["groups"] for image in group["images"]]
    images += [*found["suspects"], *found["strangers"], *found["poor"]]
    return [image["row"] for image in images if image["row"] is not None]


def describe_maps(material: Material) -> Section:
    """Describe the maps: for each image its place in thousandths, its class, what it was called, and its part."""
    dataset = material.dataset
    predicted = np.full(len(dataset.y), -1)
    predicted[material.held_out] = material.predictions.classes
    maps = []
    for each in material.looked.maps:
        rows = np.asarray(each.rows, np.intp)
        # Every so many, where there are more: they are stratified already.
        kept = np.linspace(0, len(rows) - 1, min(len(rows), MOST_POINTS)).round().astype(int)
        rows = rows[kept]
        maps.append(
            {
                "layer": each.layer,
                "pooling": each.pooling,
                "rows": rows.tolist(),
                "x": scale(np.asarray(each.x, np.float64)[kept]),
                "y": scale(np.asarray(each.y, np.float64)[kept]),
                "labels": dataset.y[rows].tolist(),
                "predicted": predicted[rows].tolist(),
            }
        )
    return {"maps": maps, "images": len(dataset.y)}


def scale(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """Scale places to 0 to 1."""
    low = values.min(initial=np.inf)
    width = float(values.max(initial=-np.inf) - low)
    scaled = (values - low) / (width or 1.0)
    rounded: list[float] = scaled.round(MAP_DIGITS).tolist()
    return rounded


def describe_layers(material: Material) -> Section:
    """Describe what layers see: the strongest images of a few channels, and where evidence lies."""
    layers = [asdict(each) for each in material.looked.layers]
    evidence = []
    for row, found in material.looked.evidence.items():
        label = material.dataset.classes[int(material.dataset.y[row])]
        evidence.append({"row": row, "path": material.names[row], "label": label, "predicted": found.label})
    shown = material.subject.row
    flags = ["--layer", shown.layer, "--pooling", shown.pooling, "--clf", shown.clf, "--out", "model.featx"]
    commands = [material.repeatable.command("fit", *flags)]
    commands.append(material.repeatable.command("report", "--model", "model.featx"))
    looked = material.looked
    return {
        "layers": layers,
        "has_answers": bool(looked.answers),
        "answers_remark": looked.answers_remark,
        "evidence": evidence,
        "remark": looked.evidence_remark,
        "commands": commands,
    }


def describe_evidence(evidence: Evidence) -> Section:
    """Give the script of the page a map: whole hundredths from -100 (against the class) to 100 (for it)."""
    return {**describe_places(evidence.values), "label": evidence.label}


def describe_places(values: NDArray[np.float64]) -> Section:
    """Give the script of the page what lies where, (h, w), in whole hundredths of the largest."""
    largest = float(np.abs(values).max(initial=0)) or 1.0
    hundredths: Sequence[int] = (100 * values / largest).round().astype(int).ravel().tolist()
    return {"width": values.shape[1], "values": hundredths}


def describe_answers(material: Material) -> Section:
    """Give the script of the page where channels answer, by layer, channel and row; less than nothing is nothing."""
    order = {layer.layer: place for place, layer in enumerate(material.looked.layers)}
    return {
        f"{order[layer]}-{number}-{row}": describe_places(np.maximum(values, 0))
        for (layer, number, row), values in material.looked.answers.items()
    }
