"""The benchmark page's sections on SPINEPS with the same networks."""

from __future__ import annotations

from typing import Any

AIM = 0.999
"""Dice that every structure should reach."""
GRAPHS = {"fp32": "float32", "fp16": "fp16", "float16": "fp16, in float16"}
WAYS = (
    ("fp32", "onnx"),
    ("fp32", "openvino"),
    ("fp16", "onnx"),
    ("fp16", "openvino"),
    ("float16", "onnx"),
)
"""Graph and device, in the order of the columns."""


def networks(document: dict[str, Any]) -> str:
    """Write the section on every architecture.

    Args:
        document: results/versus_networks.json.

    Returns:
        Markdown.
    """
    rows = document["rows"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    exact = [row for row in rows if row["compared"] == "float32 sums" and row["graph"] == "fp32"]
    lines = [
        "## Exported models against SPINEPS 2.1.3's own classes",
        "",
        f"{document['date']}; {versions}. SPINEPS builds each architecture, writes its folder and segments "
        "a phantom with it (three cutouts for the instance network). The folder is exported, and spineps-rt "
        "does the same. A cell says which part of the voxels has the same class, in brackets how many have "
        "not. The CPU computes fp16 graphs in float32; *in float16* rounds every value that such a graph "
        "holds in float16 to that, as a GPU does. *Refused*: the export "
        "makes no fp16 variant; the reasons stand below.",
        "",
        "| model | classes | compared with | ONNX Runtime | OpenVINO | fp16, ONNX Runtime | fp16, OpenVINO "
        "| fp16, in float16 |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for model, compared in dict.fromkeys((row["model"], row["compared"]) for row in rows):
        same = [row for row in rows if (row["model"], row["compared"]) == (model, compared)]
        found = {(row["graph"], row["device"]): _share(row) for row in same}
        cells = [found.get(way, "refused") for way in WAYS]
        classes = len(same[0]["dice"])
        lines.append(f"| {model} | {classes} | {_with(compared)} | {' | '.join(cells)} |")
    lines += [
        "",
        "SPINEPS sums the logits of tiles in float16; *float32 sums* is SPINEPS with that one thing changed: "
        f"then {sum(row['differ'] for row in exact):,} of {sum(row['voxels'] for row in exact):,} voxels "
        "of the float32 graphs differ. SPINEPS sets every label to 0 before the network of one channel sees "
        "it, which spineps-rt does not repeat (docs/export.md): it is compared on empty cutouts, and with "
        "the labels kept.",
        "",
        *_refused(rows),
        *_smallest(rows),
    ]
    return "\n".join(lines)


def scans(document: dict[str, Any]) -> str:
    """Write the section on whole scans.

    Args:
        document: results/versus_scan.json.

    Returns:
        Markdown.
    """
    machine = document["machine"]
    lines = [
        "## Whole scans against SPINEPS 2.1.3, the same weights",
        "",
        f"{document['date']}, {machine['cpu']}, {machine['cores']} cores. Both run the embedded networks on "
        "the CPU, from the file to the files, each run a process of its own with its imports. *spineps-rt* "
        "has SPINEPS's rules where nothing else is said. *Defaults* counts vertebrae from the sacrum where "
        "SPINEPS counts from the top of the scan: an instance then has another name, and a Dice of 0.",
        "",
    ]
    for scan in document["scans"]:
        size, mm = (" x ".join(f"{n:g}" for n in scan[key]) for key in ("shape", "spacing_mm"))
        lines += [
            f"`{scan['scan']}`, {size} voxels of {mm} mm:",
            "",
            "| run | seconds | processor seconds | peak memory, MB |",
            "| --- | ---: | ---: | ---: |",
            *(
                f"| {name} | {run['seconds']:.1f} | {run['processor_seconds']:.1f} | {run['peak_mb']:.0f} |"
                for name, run in scan["runs"].items()
            ),
            "",
            "| compared | structures: voxels that differ | smallest Dice | instances: voxels that differ "
            "| smallest Dice |",
            "| --- | ---: | ---: | ---: | ---: |",
            *(_compared(pair) for pair in scan["compared"]),
            "",
            *_below(scan),
        ]
    return "\n".join(lines)


def n4_effect(document: dict[str, Any]) -> str:
    """Write the section on what one grey level does to the masks.

    Args:
        document: results/n4_effect.json.

    Returns:
        Markdown.
    """
    machine, scan = document["machine"], document["scan"]
    moved = {row["what"]: f"{row['spine']['differ']:,}" for row in document["rows"]}
    return "\n".join(
        [
            "## What N4's last differences do to the masks",
            "",
            f"{document['date']}, {machine['cpu']}, {machine['cores']} cores; `{scan['name']}`, intensities "
            f"up to {scan['highest']:g}. SPINEPS's N4 and spineps-rt's leave a few voxels one grey level "
            "apart. *X's image* is what X's N4 made, segmented by spineps-rt with SPINEPS's rules in "
            "float32; *changed* says that voxels of it, chosen at random, went up or down by one. *SPINEPS* "
            "is SPINEPS's own masks; *one thread* is SPINEPS with its N4 on one thread instead of all.",
            "",
            "| compared | voxels of the images that differ | of them brighter in the first "
            "| largest difference | structures: voxels that differ | smallest Dice "
            "| instances: voxels that differ | smallest Dice |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(_effect(row) for row in document["rows"]),
            "",
            f"Of the structures, {moved['runs']} voxels differ between SPINEPS and spineps-rt; "
            f"{moved['same image']} where both are shown the same image. One grey level in as many voxels, "
            f"chosen at random, moves {moved['random']}, and SPINEPS's own number of threads "
            f"{moved['threads']}.",
            "",
        ]
    )


def _effect(row: dict[str, Any]) -> str:
    image = row["image"]
    share = f"{image['differ']:,} ({image['differ'] / image['voxels']:.2%})"
    brighter, largest = f"{image['brighter']:,}", f"{image['largest']:g}"
    pair, *masks = _compared(row).strip("| ").split(" | ")
    return f"| {' | '.join([pair, share, brighter, largest, *masks])} |"


def _share(row: dict[str, Any]) -> str:
    return f"{100 * row['agreement']:.4f} % ({row['differ']})"


def _with(compared: str) -> str:
    names = {"published": "SPINEPS", "no labels": "SPINEPS, empty cutouts"}
    return names.get(compared, f"SPINEPS, {compared}")


def _refused(rows: list[dict[str, Any]]) -> list[str]:
    """Say why a network has no fp16 variant."""
    reasons = {row["model"]: row["fp16_refused"] for row in rows if "fp16_refused" in row}
    return [f"- {model}, fp16 refused: {reason}" for model, reason in reasons.items()]


def _smallest(rows: list[dict[str, Any]]) -> list[str]:
    """Name the smallest agreement and the smallest Dice of each graph."""
    lines = []
    for graph, name in GRAPHS.items():
        own = [row for row in rows if row["graph"] == graph]
        if not own:
            continue
        share = min(row["agreement"] for row in own)
        score = min(d for row in own for d in row["dice"].values())
        lines.append(
            f"- {name}: smallest agreement {100 * share:.4f} %, smallest Dice of a class {score:.5f}."
        )
    return [*lines, ""]


def _compared(pair: dict[str, Any]) -> str:
    cells = [" - ".join(pair["between"])]
    for mask in ("spine", "vert"):
        found = pair[mask]
        name, score = min(found["dice"].items(), key=lambda item: item[1])
        cells += [f"{found['differ']:,} of {found['labelled']:,}", f"{score:.5f} ({name})"]
    return f"| {' | '.join(cells)} |"


def _below(scan: dict[str, Any]) -> list[str]:
    """Name what misses the aim, but for the defaults, which are meant to differ."""
    missed = [
        f"{name} {score:.4f} ({' - '.join(pair['between'])})"
        for pair in scan["compared"]
        if not any("defaults" in run for run in pair["between"])
        for mask in ("spine", "vert")
        for name, score in pair[mask]["dice"].items()
        if score < AIM
    ]
    return [f"Below a Dice of {AIM}: {'; '.join(missed)}.", ""] if missed else []
