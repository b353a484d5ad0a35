"""The benchmark page's section on the networks on a CPU."""

from __future__ import annotations

from typing import Any

_LIMIT = 0.999


def section(document: dict[str, Any]) -> str:
    """Write the section.

    Args:
        document: results/networks.json.

    Returns:
        Markdown.
    """
    machine, versions = document["machine"], document["versions"]
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        "## Networks on this CPU",
        "",
        f"{document['date']}, {machine['cpu']}, {machine['cores']} cores. {libraries}. One tile or cutout of "
        "a phantom; every way took its turn; medians. Operations are those of the graph's convolutions, also "
        "where a kernel needs fewer; the peak is the best of as many large matrix products in float32, "
        "measured in between. Agreement is that with OpenVINO in float32.",
        "",
    ]
    for network in document["networks"]:
        lines += _table(network)
    return "\n".join([*lines, *_agreement(document.get("agreement", [])), ""])


def _table(network: dict[str, Any]) -> list[str]:
    peak, pytorch = network["peak_gflops"]["f32"], network["ways"]["PyTorch f32"]["seconds"]
    return [
        f"### {network['name']}: {network['gflop']:.0f} GFLOP, peak {peak:.0f} GFLOP/s",
        "",
        "| | seconds | GFLOP/s | of the f32 peak | times PyTorch | same class | smallest Dice |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {way['seconds']:.3f} | {network['gflop'] / way['seconds']:.0f} | "
            f"{network['gflop'] / way['seconds'] / peak:.0%} | {pytorch / way['seconds']:.1f} | "
            f"{way['same_class']:.3%} | {way['worst_dice']:.4f} |"
            for name, way in network["ways"].items()
        ),
        "",
    ]


def _agreement(found: list[dict[str, Any]]) -> list[str]:
    """Say whether bfloat16 may be taken without being asked for."""
    if not found:
        return []
    names = sorted({one["network"] for one in found})
    failed = [n for n in names if any(one["network"] == n and one["worst_dice"] < _LIMIT for one in found)]
    passed = [name for name in names if name not in failed]
    verdict = f"Limit: the same class in 99.9% of every tile, a Dice of {_LIMIT} in every class of all tiles."
    if passed:
        verdict += f" {' and '.join(passed)}: passed, so that `auto` and `cpu` take bfloat16."
    if failed:
        verdict += f" {' and '.join(failed)}: missed; only `--device openvino-bf16` takes it."
    return [
        "### bfloat16 on real tiles and cutouts",
        "",
        verdict,
        "",
        "| scan | network | tiles | least same class | smallest Dice |",
        "| --- | --- | ---: | ---: | ---: |",
        *(
            f"| {one['scan']} | {one['network']} | {one['samples']} | {one['same_class']:.3%} | "
            f"{one['worst_dice']:.4f} |"
            for one in found
        ),
    ]
